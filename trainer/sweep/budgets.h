// Whether the runs of a sweep can spend what they are given.
#pragma once

#include "trainer/sweep/plan.h"

namespace basin::trainer {

/// ConfigError that names every setting whose strategy cannot keep its budget in bytes, with the nearest that it can. Reads no data set.
void CheckBudgets(const SweepPlan& plan);

}  // namespace basin::trainer
