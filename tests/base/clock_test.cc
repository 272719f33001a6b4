#include "base/clock.h"

#include <gtest/gtest.h>

namespace basin::base {
namespace {

using namespace std::chrono_literals;

TEST(ManualClock, MovesOnlyWhenAdvanced) {
  ManualClock clock;
  EXPECT_EQ(clock.Now(), 0ns);
  clock.Advance(1500ms);
  clock.Advance(250ms);
  EXPECT_EQ(clock.Now(), 1750ms);
  EXPECT_DOUBLE_EQ(clock.Seconds(), 1.75);
}

TEST(Stopwatch, MeasuresFromItsConstruction) {
  ManualClock clock;
  clock.Advance(10s);
  const Stopwatch watch(clock);
  EXPECT_DOUBLE_EQ(watch.Seconds(), 0.0);
  clock.Advance(2500ms);
  EXPECT_DOUBLE_EQ(watch.Seconds(), 2.5);
}

TEST(SystemClock, NeverRunsBackwards) {
  const SystemClock clock;
  Clock::Duration last = clock.Now();
  for (int i = 0; i < 10000; ++i) {
    const Clock::Duration now = clock.Now();
    ASSERT_GE(now, last);
    last = now;
  }
}

TEST(UnixSeconds, LiesBetween2024And2100) {
  EXPECT_GT(UnixSeconds(), 1704067200.0);
  EXPECT_LT(UnixSeconds(), 4102444800.0);
}

}  // namespace
}  // namespace basin::base
