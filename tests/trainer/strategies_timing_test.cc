#include "trainer/strategies/timing.h"

#include <gtest/gtest.h>

namespace basin::trainer {
namespace {

RunShape ShapeOf(int64_t steps, int64_t steps_per_epoch = 1) {
  return {.total_steps = steps, .steps_per_epoch = steps_per_epoch};
}

TEST(FirstStepAt, AgreesWithIntegersForEveryPercentage) {
  for (int64_t total = 1; total <= 1000; ++total) {
    for (int64_t percent = 0; percent <= 100; ++percent) {
      const int64_t exact = (percent * total + 99) / 100;
      ASSERT_EQ(FirstStepAt(percent / 100.0, total), exact) << percent << " % of " << total;
    }
  }
}

TEST(FirstStepAt, DoesNotRoundDownBetweenTwoSteps) {
  EXPECT_EQ(FirstStepAt(0.1001, 1000), 101);
  EXPECT_EQ(FirstStepAt(0.0999, 1000), 100);
}

TEST(StepTimes, IncludesTheFirstAndTheLastStep) {
  const StepTimes all({.every_steps = 1}, ShapeOf(10));
  EXPECT_TRUE(all.Acts(0));
  EXPECT_TRUE(all.Acts(9));
  EXPECT_EQ(all.Count(), 10);
}

TEST(StepTimes, StartsAtItsStartAndEndsBeforeItsStop) {
  const StepTimes half({.every_steps = 1, .start = 0.25, .stop = 0.5}, ShapeOf(8));
  EXPECT_FALSE(half.Acts(1));
  EXPECT_TRUE(half.Acts(2));
  EXPECT_TRUE(half.Acts(3));
  EXPECT_FALSE(half.Acts(4));
}

TEST(StepTimes, ActsNeverInAnEmptyWindow) {
  const StepTimes none({.every_steps = 1, .start = 0.5, .stop = 0.5}, ShapeOf(8));
  EXPECT_EQ(none.Count(), 0);
  for (int64_t step = 0; step < 8; ++step) EXPECT_FALSE(none.Acts(step));
}

TEST(StepTimes, ActsOnItsBeat) {
  const StepTimes first({.every_steps = 4}, ShapeOf(9)),
      last({.every_steps = 4}, ShapeOf(9), Beat::kLast);
  EXPECT_TRUE(first.Acts(0) && first.Acts(4) && first.Acts(8));
  EXPECT_TRUE(last.Acts(3) && last.Acts(7));
  EXPECT_EQ(first.Count(), 3);
  EXPECT_EQ(last.Count(), 2);
}

TEST(StepTimes, CountsWhatItActsOn) {
  for (Beat beat : {Beat::kFirst, Beat::kLast}) {
    for (int64_t every : {1, 2, 3, 7}) {
      for (double start : {0.0, 0.1, 0.3, 0.9}) {
        for (int64_t from : {0, 2, 9, 50}) {
          const StepTimes times({.every_steps = every, .start = start, .stop = 0.95}, ShapeOf(23),
                                beat);
          int64_t count = 0;
          for (int64_t step = from; step < 23; ++step) count += times.Acts(step);
          ASSERT_EQ(times.Count(from), count) << every << " " << start << " " << from;
        }
      }
    }
  }
}

TEST(MergesAfterEpoch, IncludesTheFirstEpochAndLeavesOutTheLast) {
  const RunShape run = ShapeOf(/*steps=*/11 * 4, /*steps_per_epoch=*/4);
  std::vector<int64_t> merges;
  for (int64_t epoch = 0; epoch < 11; ++epoch) {
    if (MergesAfterEpoch(epoch, 5, run)) merges.push_back(epoch);
  }
  EXPECT_EQ(merges, (std::vector<int64_t>{0, 5}));  // not 10, the last
  EXPECT_EQ(CountMerges(5, run), 2);
}

TEST(MergesAfterEpoch, MergesAfterAnEpochThatSomeMoreStepsFollow) {
  const RunShape run = ShapeOf(/*steps=*/11 * 4 + 1, /*steps_per_epoch=*/4);
  EXPECT_TRUE(MergesAfterEpoch(10, 5, run));
  EXPECT_EQ(CountMerges(5, run), 3);
}

}  // namespace
}  // namespace basin::trainer
