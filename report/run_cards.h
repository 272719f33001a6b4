// What of a run's page is drawn with HTML alone: no chart, but boxes, a bar and a map of colours.
#pragma once

#include <string>

#include "base/json.h"

namespace basin::report {

/// The figures of the first screen; empty when the result has none of them.
std::string FigureTiles(const base::Json& result);
/// What the run's time went to, as one bar with its table; empty when the times are not there.
std::string TimeCard(const base::Json& result);
/// B2 on test of every pair, the stronger the colour the higher; empty for fewer than three members or without barriers.
std::string BarrierMap(const base::Json& result);

}  // namespace basin::report
