// What a sweep found: which settings cost the same, which of them differ, which nobody beats. Arithmetic on finished runs only.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "report/statistics.h"

namespace basin::report {

struct SeedResult {
  int64_t seed = 0;
  double accuracy = 0;  ///< of the average, on the test images; a fraction
  double bytes = 0;     ///< payload that a rank sent in the whole run
};

/// One setting and its finished runs, at least one.
struct SweepSetting {
  std::string name;
  std::string strategy;
  std::string group;  ///< settings are compared within a group
  bool is_control = false;
  std::vector<SeedResult> results;
};

/// Settings of one group whose mean bytes lie within kSameBytes of the cheapest of them.
struct SweepLevel {
  std::string group;
  double bytes = 0;                  ///< mean over its settings
  std::vector<size_t> settings;      ///< by falling accuracy
  std::vector<size_t> close;         ///< those that are not told apart from the best: p after Holm above 0.05, or no test
};
/// A budget is kept within 2 %, so two settings of one budget differ by 4 % at most.
inline constexpr double kSameBytes = 0.05;

/// Two settings of one level. Paired when both ran the same seeds, since a seed fixes initial weights and data order whatever the
/// strategy; Welch's test otherwise.
struct SweepComparison {
  size_t level = 0, a = 0, b = 0;              ///< a: the more accurate
  std::optional<Comparison> test{};            ///< none: too few seeds, or no spread
  std::optional<double> p_holm{};              ///< over all comparisons of the sweep
};

struct SweepSummary {
  std::vector<Summary> accuracy, bytes;  ///< one a setting
  std::vector<SweepLevel> levels;        ///< by group, then by rising bytes
  std::vector<SweepComparison> comparisons;
  std::vector<size_t> front;             ///< settings that send something and that no other beats in bytes and accuracy; by rising bytes
};
SweepSummary SummariseSweep(const std::vector<SweepSetting>& settings);

/// {"levels": [{"group", "bytes_per_rank", "settings", "best", "not_told_apart"}], "comparisons": [{"level", "a", "b", "difference",
/// "low", "high", "test", "t", "degrees", "p", "p_holm"}], "pareto": [names]}; accuracies are fractions.
base::Json SummaryJson(const std::vector<SweepSetting>& settings, const SweepSummary& summary);

}  // namespace basin::report
