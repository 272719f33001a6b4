#include "trainer/strategies/independent.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/strategy_trial.h"

namespace basin::trainer {
namespace {

using test::BareMember;
using test::RandomMembers;
using test::RunTrial;
using test::SmallShape;
using test::Trial;

/// Weights after step t are the start plus (t + 1)^2 everywhere.
const test::Hooks kQuadratic{.train = [](int64_t step, int, BareMember& member) { member.weights.add_(static_cast<double>(2 * step + 1)); }};

TEST(Independent, EndsAsTheMovingAverageOfItsOwnWeights) {
  for (const double decay : {0.0, 0.5, 0.999}) {
    for (const int64_t steps : {1, 2, 30}) {
      const auto shape = SmallShape(2, steps);
      const auto start = RandomMembers(shape);
      const Trial trial = RunTrial(IndependentOptions{.ema = decay}, shape, start, kQuadratic);
      double moved = 0;
      for (int64_t t = 0; t < steps; ++t) {
        const double d = std::min(decay, (1.0 + static_cast<double>(t)) / (10.0 + static_cast<double>(t)));
        moved = d * moved + (1 - d) * static_cast<double>((t + 1) * (t + 1));
      }
      for (int n = 0; n < 2; ++n) {
        // Thirty float32 roundings at magnitudes up to 1000.
        EXPECT_TRUE(torch::allclose(trial.members[n].weights, start[n].weights + moved, 0, 30 * 1000 * 6e-8)) << decay << ' ' << steps;
      }
      EXPECT_EQ(trial.ledgers[0].payload_bytes, 0);
    }
  }
}

TEST(Independent, TouchesNoWeightBeforeTheLastStep) {
  const auto shape = SmallShape(1, 10);
  const auto start = RandomMembers(shape);
  RunTrial(IndependentOptions{.ema = 0.9}, shape, start,
           {.train = kQuadratic.train, .observe = [&](int64_t step, int, BareMember& member) {
              const double there = static_cast<double>((step + 1) * (step + 1));
              // Two float32 roundings a step at magnitudes up to 100.
              const bool same = torch::allclose(member.weights, start[0].weights + there, 0, 1e-4);
              EXPECT_EQ(same, step < 9) << step;
            }});
}

TEST(Independent, KeepsNothingWithoutAMovingAverage) {
  EXPECT_TRUE(Independent({}, SmallShape(1, 1)).State().empty());
  EXPECT_EQ(Independent({.ema = 0.9}, SmallShape(1, 1)).State().size(), 1u);
}

}  // namespace
}  // namespace basin::trainer
