// The charts of one run.
#pragma once

#include <vector>

#include "report/chart.h"
#include "report/run_record.h"

namespace basin::report {

/// Points of a curve over all steps. Longer runs are thinned (report/thin.h), and the chart's note says so.
inline constexpr int64_t kMostPoints = 300;

/// Test accuracy of members, ensemble, averages and soup, a row each. Needs a result.
Chart ScoresChart(const base::Json& result);
/// Loss, accuracy, consensus distance and learning rate against the step: those that the records hold.
std::vector<Chart> TrainingCharts(const RunRecord& run);
/// Loss and accuracy along the lines between members: a chart a split and measure.
std::vector<Chart> PathCharts(const RunRecord& run);
/// Bytes and time of the exchanges against the step. Empty: there were none.
std::vector<Chart> ExchangeCharts(const RunRecord& run);

}  // namespace basin::report
