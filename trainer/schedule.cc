#include "trainer/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace basin::trainer {

double LearningRate(const ScheduleOptions& schedule, double lr, int64_t step, int64_t total) {
  const int64_t warmup = schedule.warmup_steps;
  if (step < warmup) return lr * static_cast<double>(step + 1) / static_cast<double>(warmup);
  const double u = static_cast<double>(step - warmup) /
                   static_cast<double>(std::max<int64_t>(1, total - warmup));
  const double final_lr = schedule.final_lr.value_or(std::min(1e-4, lr));
  switch (schedule.kind) {
    case ScheduleOptions::Kind::kConstant:
      return lr;
    case ScheduleOptions::Kind::kCosine:
      return final_lr + (lr - final_lr) * (1 + std::cos(std::numbers::pi * u)) / 2;
    case ScheduleOptions::Kind::kLinear:
      return lr + (final_lr - lr) * u;
    case ScheduleOptions::Kind::kMultistep: {
      const double share = static_cast<double>(step) / static_cast<double>(std::max<int64_t>(1, total));
      const auto passed = std::count_if(schedule.milestones.begin(), schedule.milestones.end(),
                                        [&](double milestone) { return milestone <= share; });
      return lr * std::pow(schedule.gamma, static_cast<double>(passed));
    }
  }
  return lr;
}

}  // namespace basin::trainer
