// The learning rate as a pure function of the step.
#pragma once

#include <cstdint>

#include "trainer/config/config.h"

namespace basin::trainer {

/// Learning rate of step t (from 0) of total. Warm-up: lr (t + 1) / warmup_steps for t < warmup_steps. Then, with
/// u = (t - warmup_steps) / (total - warmup_steps): cosine final + (lr - final) (1 + cos(pi u)) / 2, linear
/// lr + (final - lr) u (both reach final_lr at the end of training, as PyTorch's schedulers do), multistep
/// lr gamma^(milestones <= t / total).
double LearningRate(const ScheduleOptions& schedule, double lr, int64_t step, int64_t total);

}  // namespace basin::trainer
