#include "report/figures.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "report/lookup.h"

namespace basin::report {
namespace {

std::optional<double> WorstBarrier(const base::Json& result) {
  std::optional<double> reset, none;
  for (const base::Json& entry : ListAt(result, "lmc")) {
    const auto barrier = NumberAt(entry, {"barrier_linear"});
    if (TextAt(entry, {"split"}) != "test" || !barrier) continue;
    auto& worst = TextAt(entry, {"renorm"}) == "reset" ? reset : none;
    worst = std::max(worst.value_or(-INFINITY), *barrier);
  }
  return reset ? reset : none;
}

}  // namespace

RunFigures FiguresOf(const base::Json& result) {
  const auto accuracy = [&](const char* object) { return NumberAt(result, {object, "test_accuracy"}); };
  return {.mean_member = accuracy("mean_member"),
          .ensemble = accuracy("ensemble"),
          .average = accuracy("average"),
          .average_raw = accuracy("average_raw"),
          .soup = accuracy("soup"),
          .worst_barrier = WorstBarrier(result),
          .payload_per_rank = NumberAt(result, {"bytes", "payload_per_rank"}),
          .train = NumberAt(result, {"seconds", "train"}),
          .exchange = NumberAt(result, {"seconds", "exchange"})};
}

const std::vector<FigureColumn>& FigureColumns() {
  static const std::vector<FigureColumn> columns{
      {"mean_member", "mean member %", 100, 2, &RunFigures::mean_member},
      {"ensemble", "ensemble %", 100, 2, &RunFigures::ensemble},
      {"average", "average %", 100, 2, &RunFigures::average},
      {"average_raw", "without BN reset %", 100, 2, &RunFigures::average_raw},
      {"soup", "soup %", 100, 2, &RunFigures::soup},
      {"worst_barrier", "worst barrier B2", 1, 3, &RunFigures::worst_barrier},
      {"payload_per_rank", "kB/rank", 1e-3, 1, &RunFigures::payload_per_rank},
      {"train", "train s", 1, 1, &RunFigures::train},
      {"exchange", "exchange s", 1, 2, &RunFigures::exchange},
  };
  return columns;
}

Summary Summarise(const std::vector<RunFigures>& runs, std::optional<double> RunFigures::*field) {
  std::vector<double> values;
  for (const RunFigures& run : runs) {
    if (run.*field) values.push_back(*(run.*field));
  }
  return Summarise(values);
}

std::string Cell(const Summary& statistic, const FigureColumn& column, const std::string& plus_minus) {
  if (statistic.count == 0) return "-";
  const auto fixed = [&](double value) {
    char text[64];
    std::snprintf(text, sizeof text, "%.*f", column.digits, value * column.scale);
    return std::string(text);
  };
  return fixed(statistic.mean) + (statistic.count == 1 ? "" : plus_minus + fixed(statistic.sd));
}

}  // namespace basin::report
