// Results as a person reads them on a terminal.
#pragma once

#include <string>

#include "base/json.h"
#include "trainer/config/config.h"

namespace basin::launch {

/// One line before training starts.
std::string AnnounceText(const trainer::RunConfig& config, const std::string& backend);
/// The table of a finished run (content of result.json).
std::string ResultText(const base::Json& result);
/// The table of `basin eval`.
std::string ScoresText(const base::Json& report);
/// The table of barriers: entries of `lmc`.
std::string BarriersText(const base::Json& entries);

}  // namespace basin::launch
