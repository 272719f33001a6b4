#include "merge/soup.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/error.h"

namespace basin::merge {
namespace {

using models::StateDict;

std::vector<StateDict> Networks(const std::vector<double>& values) {
  std::vector<StateDict> states;
  for (const double value : values) states.push_back({{"w", torch::tensor({value}, torch::kFloat64)}});
  return states;
}

double ValueOf(const StateDict& state) { return state[0].tensor.item<double>(); }

/// Highest at w = 1.
double Nearness(StateDict& state) { return -std::pow(ValueOf(state) - 1, 2); }

TEST(GreedySoup, AddsInTheOrderOfTheSinglesWhatDoesNotHarm) {
  // Singles: -16, -0.0625, -4, -0.0625. The two best average to 1; with 3 or -3 as well the soup would be worse.
  const Soup soup = GreedySoup(Networks({-3, 1.25, 3, 0.75}), Nearness);
  EXPECT_EQ(soup.chosen, (std::vector<int64_t>{1, 3}));
  EXPECT_EQ(ValueOf(soup.state), 1);
  EXPECT_EQ(soup.score, 0);
}

TEST(GreedySoup, KeepsTheBestAloneWhenEveryOtherHarms) {
  const Soup soup = GreedySoup(Networks({5, 1, 9}), Nearness);
  EXPECT_EQ(soup.chosen, (std::vector<int64_t>{1}));
  EXPECT_EQ(ValueOf(soup.state), 1);
}

TEST(GreedySoup, AddsANetworkThatLeavesTheScoreAsItIs) {
  EXPECT_EQ(GreedySoup(Networks({2, 2, 2}), Nearness).chosen, (std::vector<int64_t>{0, 1, 2}));
}

TEST(GreedySoup, RejectedNetworksDoNotCountInLaterAverages) {
  // 0 (best), then 4 fails (mean 2), then -6 is tried with 0 alone (mean -3), not with 4.
  std::vector<double> tried;
  GreedySoup(Networks({0, 4, -6}), [&](StateDict& state) {
    tried.push_back(ValueOf(state));
    return -std::abs(ValueOf(state));
  });
  EXPECT_EQ(tried, (std::vector<double>{0, 4, -6, 2, -3}));
}

TEST(GreedySoup, KeepsTheStateThatScoringLeavesBehindAndNotTheInputs) {
  const std::vector<StateDict> states = {{{"w", torch::tensor({1.0})}, {"bn.running_mean", torch::tensor({5.0})}},
                                         {{"w", torch::tensor({1.0})}, {"bn.running_mean", torch::tensor({5.0})}}};
  const Soup soup = GreedySoup(states, [](StateDict& state) {
    state[1].tensor.add_(1);  // as if recalibrated
    return 0.5;
  });
  EXPECT_EQ(soup.chosen.size(), 2U);
  EXPECT_EQ(soup.state[1].tensor.item<float>(), 6);  // the average of the inputs, scored once
  EXPECT_EQ(states[0][1].tensor.item<float>(), 5);
}

TEST(GreedySoup, NeverTakesANetworkWhoseScoreIsNotANumber) {
  const auto score = [](StateDict& state) {
    return ValueOf(state) < 1 ? std::numeric_limits<double>::quiet_NaN() : ValueOf(state);
  };
  const Soup soup = GreedySoup(Networks({-9, 2, 3}), score);
  EXPECT_EQ(soup.chosen, (std::vector<int64_t>{2}));
  EXPECT_EQ(soup.score, 3);
}

TEST(GreedySoup, TakesNoNetworkTwice) {
  // The worst of all numbers still ranks above what is none.
  const auto score = [](StateDict& state) {
    const double infinity = std::numeric_limits<double>::infinity();
    return ValueOf(state) < 1 ? std::numeric_limits<double>::quiet_NaN() : -infinity;
  };
  EXPECT_EQ(GreedySoup(Networks({-9, 2}), score).chosen, (std::vector<int64_t>{1}));
}

TEST(GreedySoup, OfOneNetworkIsThatNetworkAndOfNoneAnError) {
  EXPECT_EQ(ValueOf(GreedySoup(Networks({7}), Nearness).state), 7);
  EXPECT_THROW(GreedySoup({}, Nearness), ConfigError);
}

}  // namespace
}  // namespace basin::merge
