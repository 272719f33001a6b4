#include "trainer/schedule.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

namespace basin::trainer {
namespace {

using Kind = ScheduleOptions::Kind;

TEST(LearningRate, CosineStartsAtLrAndReachesFinalLrAtTheEnd) {
  const ScheduleOptions schedule{.kind = Kind::kCosine, .final_lr = 0.01};
  EXPECT_EQ(LearningRate(schedule, 0.1, 0, 1000), 0.1);
  EXPECT_DOUBLE_EQ(LearningRate(schedule, 0.1, 500, 1000), 0.055);
  EXPECT_NEAR(LearningRate(schedule, 0.1, 999, 1000), 0.01, 1e-6);  // one step before the end: 0.09 (pi / 1000)^2 / 4 away
}

TEST(LearningRate, CosineEqualsTheClosedFormAtEveryStep) {
  const ScheduleOptions schedule{.kind = Kind::kCosine, .warmup_steps = 10, .final_lr = 0.0};
  for (int step = 10; step < 100; ++step) {
    const double u = (step - 10) / 90.0;
    EXPECT_NEAR(LearningRate(schedule, 0.3, step, 100), 0.15 * (1 + std::cos(std::numbers::pi * u)), 1e-15);  // rounding
  }
}

TEST(LearningRate, WarmsUpLinearlyToLr) {
  const ScheduleOptions schedule{.kind = Kind::kConstant, .warmup_steps = 4};
  EXPECT_DOUBLE_EQ(LearningRate(schedule, 0.4, 0, 100), 0.1);
  EXPECT_DOUBLE_EQ(LearningRate(schedule, 0.4, 3, 100), 0.4);
  EXPECT_DOUBLE_EQ(LearningRate(schedule, 0.4, 99, 100), 0.4);
}

TEST(LearningRate, MultistepFallsAtEachMilestoneAndNotBefore) {
  const ScheduleOptions schedule{.kind = Kind::kMultistep, .milestones = {0.5, 0.75}, .gamma = 0.1};
  EXPECT_DOUBLE_EQ(LearningRate(schedule, 1, 49, 100), 1);
  EXPECT_DOUBLE_EQ(LearningRate(schedule, 1, 50, 100), 0.1);
  EXPECT_DOUBLE_EQ(LearningRate(schedule, 1, 75, 100), 0.01);
}

TEST(LearningRate, LinearIsTheStraightLine) {
  const ScheduleOptions schedule{.kind = Kind::kLinear, .final_lr = 0.0};
  EXPECT_DOUBLE_EQ(LearningRate(schedule, 1, 25, 100), 0.75);
}

TEST(LearningRate, OfZeroStaysZeroUnlessAFinalRateIsAskedFor) {
  for (const int64_t step : {0, 3, 9}) EXPECT_EQ(LearningRate({}, 0, step, 10), 0);
}

TEST(LearningRate, OfASingleStepIsLr) { EXPECT_EQ(LearningRate({}, 0.1, 0, 1), 0.1); }

}  // namespace
}  // namespace basin::trainer
