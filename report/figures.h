// The figures by which runs are compared, and their statistics over seeds.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "report/statistics.h"

namespace basin::report {

/// Of one finished run; nothing where it has no such figure (no soup, no pairs). Fractions, nats, bytes, seconds.
struct RunFigures {
  std::optional<double> mean_member{}, ensemble{}, average{}, average_raw{}, soup{};  ///< test accuracy
  std::optional<double> worst_barrier{};  ///< the largest B2 on test, with recomputed statistics where there are any
  std::optional<double> payload_per_rank{};
  std::optional<double> train{}, exchange{};
};
/// From the content of a result.json.
RunFigures FiguresOf(const base::Json& result);

/// A column of every table of runs.
struct FigureColumn {
  const char* key;  ///< in JSON
  const char* header;
  double scale;  ///< of the printed value
  int digits;    ///< behind the point
  std::optional<double> RunFigures::*field;
};
const std::vector<FigureColumn>& FigureColumns();

/// Of the runs that have the figure.
Summary Summarise(const std::vector<RunFigures>& runs, std::optional<double> RunFigures::*field);

/// "92.65", "92.65 +- 0.31" for several, "-" for none. `plus_minus`: what stands between mean and sd.
std::string Cell(const Summary& statistic, const FigureColumn& column, const std::string& plus_minus = " +- ");

}  // namespace basin::report
