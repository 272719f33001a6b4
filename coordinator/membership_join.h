// How a process takes its seat: the checks, and what a restarted coordinator learns from those who join again.
#pragma once

#include <string>

#include "coordinator/membership.h"

namespace basin::coordinator {

/// Why this join is refused, as a sentence; empty: it is not.
std::string JoinProblem(const Rules& rules, const State& state, const Join& join);

/// Writes an allowed join into the state. True when the state learnt a newer epoch from it: everybody's directive
/// changed.
bool Seat(const Rules& rules, State& state, const Join& join, Time now);

}  // namespace basin::coordinator
