// What a sweep found, for people: sentences, a table, a page.
#pragma once

#include <string>
#include <vector>

#include "report/comparison.h"
#include "report/sweep_summary.h"
#include "report/table.h"

namespace basin::report {

/// The best of all that exchange; then a line a level: its best setting, and which others cannot be told apart from it. What sends nothing comes last.
std::vector<std::string> Verdicts(const std::vector<SweepSetting>& settings, const SweepSummary& summary);
/// Two settings of one level a row: difference in points, 95 % interval, test, p, p after Holm.
Table ComparisonTable(const std::vector<SweepSetting>& settings, const SweepSummary& summary);
/// What report/comparison.h makes a page of. `state`: how many runs are done; `runs`: the settings with all their figures;
/// `failures`: a line for each run without a result.
ComparedRuns SweepPage(const std::string& title, const std::string& state, const std::vector<Setting>& runs,
                       const std::vector<SweepSetting>& settings, const SweepSummary& summary, const std::vector<std::string>& failures);

}  // namespace basin::report
