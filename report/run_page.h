// The report of one run.
#pragma once

#include <filesystem>
#include <string>

#include "report/run_record.h"

namespace basin::report {

/// One HTML file that needs nothing else. Its first screen says whether the average worked and what it cost; then come the curves of
/// training, the lines between members, the exchanges (predicted against counted), events, configuration and versions. A part whose
/// data is not there is left out; a run that is not finished has its curves. Texts of the run may hold anything; they are escaped.
std::string RunPage(const RunRecord& run);

/// ReadRun, RunPage, and the file written at once (temporary name, sync, rename). DataError as ReadRun, or when it cannot be written.
void WriteRunPage(const std::filesystem::path& run_dir, const std::filesystem::path& file);

}  // namespace basin::report
