// The finished runs of a sweep as tables, files and a page.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "launch/run_table.h"
#include "report/sweep_summary.h"
#include "trainer/sweep/run_all.h"

namespace basin::launch {

/// What is known once some runs have finished. Settings without a finished run are left out.
struct SweepResult {
  std::string title, state;              ///< "25 of 27 runs are done, 1 failed"
  std::vector<report::Setting> rows;     ///< one a setting, in the plan's order
  std::vector<report::SweepSetting> settings;
  report::SweepSummary summary;
  std::vector<std::string> failures;     ///< one line a run without a result
  base::Json runs;                       ///< [{"name", "state", "exit_code", "seconds", "message"}]
};

/// Reads the results in the folder. DataError when one is damaged.
SweepResult ReadSweepResult(const trainer::SweepPlan& plan, const std::filesystem::path& folder,
                            const std::vector<trainer::RunState>& states);

enum class SweepFormat { kText, kMarkdown, kCsv, kJson };
std::string SweepResultText(const SweepResult& result, SweepFormat format);

/// Writes sweep.json, sweep.csv and sweep.html.
void WriteSweepResult(const SweepResult& result, const std::filesystem::path& folder);

}  // namespace basin::launch
