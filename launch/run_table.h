// Several finished runs beside each other, one row a run or one row a group of seeds.
#pragma once

#include <filesystem>
#include <vector>

#include "base/json.h"
#include "report/comparison.h"

namespace basin::launch {

/// `path` is a run directory (holds result.json) or a folder of run directories (seeds of one setting). Its family is the
/// strategy. DataError otherwise.
report::Setting ReadRow(const std::filesystem::path& path);

/// Rows: strategy, members, accuracy of mean member, ensemble, average with and without recomputed statistics, soup, worst barrier
/// (definition B2 `barrier_linear`, on test, statistics recomputed), bytes and messages a rank, seconds. Groups: mean +- sample
/// standard deviation over the seeds.
std::string RunsText(const std::vector<report::Setting>& rows, bool markdown);
/// The same figures as numbers: [{"name", "runs", "mean_member": {"mean", "sd"}, ...}].
base::Json RunsJson(const std::vector<report::Setting>& rows);
/// The same again, a row a line: name, runs, then mean and standard deviation of each figure; empty where there is none. Names hold no comma.
std::string RunsCsv(const std::vector<report::Setting>& rows);

}  // namespace basin::launch
