#include "trainer/strategies/rates.h"

#include <gmock/gmock.h>

#include <bit>
#include <cmath>

#include "tests/support/strategy_trial.h"

namespace basin::trainer {
namespace {

using testing::DoubleNear;
using testing::ElementsAre;

const auto kNet =
    test::Slots({{"conv.weight", 10}, {"conv.bias", 2}, {"fc.weight", 20}, {"fc.bias", 4}});

TEST(DepthFactors, FallLinearlyWithTheIndexOfTheTensor) {
  EXPECT_THAT(DepthFactors(kNet, DepthLaw::kLinear, DepthUnit::kTensor),
              ElementsAre(1, DoubleNear(2.0 / 3, 1e-15), DoubleNear(1.0 / 3, 1e-15), 0));
}

TEST(DepthFactors, AreSharedWithinAModule) {
  EXPECT_THAT(DepthFactors(kNet, DepthLaw::kLinear, DepthUnit::kModule), ElementsAre(1, 1, 0, 0));
}

TEST(DepthFactors, KeepAModuleTogetherThatAnotherInterrupts) {
  const auto slots =
      test::Slots({{"a.weight", 1}, {"a.b.weight", 1}, {"c.weight", 1}, {"a.bias", 1}});
  EXPECT_THAT(DepthFactors(slots, DepthLaw::kLinear, DepthUnit::kModule),
              ElementsAre(1, 0.5, 0, 1));
}

TEST(DepthFactors, FollowTheParametersBefore) {
  EXPECT_THAT(DepthFactors(kNet, DepthLaw::kLinear, DepthUnit::kParameters),
              ElementsAre(1, 1 - 10.0 / 32, 1 - 12.0 / 32, 0));
}

TEST(DepthFactors, AreOneUnderTheConstantLawAndForASingleTensor) {
  const auto single = test::Slots({{"weight", 9}});
  for (DepthUnit unit : {DepthUnit::kTensor, DepthUnit::kModule, DepthUnit::kParameters}) {
    EXPECT_THAT(DepthFactors(kNet, DepthLaw::kConstant, unit), ElementsAre(1, 1, 1, 1));
    EXPECT_THAT(DepthFactors(single, DepthLaw::kLinear, unit), ElementsAre(1));
  }
}

TEST(TimeFactor, FollowsItsSchedule) {
  const RunShape shape{.total_steps = 100, .base_lr = 0.2};
  const StepInfo quarter{.step = 25, .lr = 0.05};
  EXPECT_EQ(TimeFactor(RateSchedule::kConstant, quarter, shape), 1);
  EXPECT_DOUBLE_EQ(TimeFactor(RateSchedule::kLr, quarter, shape), 0.25);
  EXPECT_DOUBLE_EQ(TimeFactor(RateSchedule::kCosine, quarter, shape), (1 + std::sqrt(0.5)) / 2);
  EXPECT_EQ(TimeFactor(RateSchedule::kCosine, {.step = 0, .lr = 0}, shape), 1);
}

TEST(TimeFactor, CouplesToNothingWhenTheLearningRateIsZero) {
  EXPECT_EQ(TimeFactor(RateSchedule::kLr, {.step = 3, .lr = 0}, RunShape{.total_steps = 9}), 1);
}

/// Both moments by going through all 2^5 outcomes of 3 coordinates at rate 0.3 and 2 at rate 0.6.
struct Enumerated {
  double mean = 0, square = 0, at_most_two = 0;
};
Enumerated EnumerateFive() {
  Enumerated sums;
  for (unsigned chosen = 0; chosen < 32; ++chosen) {
    double probability = 1;
    for (int i = 0; i < 5; ++i) {
      const double q = i < 3 ? 0.3 : 0.6;
      probability *= (chosen >> i & 1) != 0 ? q : 1 - q;
    }
    const int count = std::popcount(chosen);
    sums.mean += probability * count;
    sums.square += probability * count * count;
    sums.at_most_two += probability * std::min(count, 2);
  }
  return sums;
}

TEST(Selection, HasTheMomentsOfAnEnumeration) {
  const std::vector<comm::SelectedTensor> tensors{{0, 3, 0.3}, {3, 2, 0.6}};
  const Enumerated exact = EnumerateFive();
  const SelectionMoments moments = MomentsOf(tensors);
  EXPECT_NEAR(moments.mean, exact.mean, 1e-12);  // doubles
  EXPECT_NEAR(moments.variance, exact.square - exact.mean * exact.mean, 1e-12);
  EXPECT_NEAR(ExpectedAtMost(tensors, 2), exact.at_most_two, 1e-12);
}

TEST(Selection, IsCertainAtRatesZeroAndOne) {
  const std::vector<comm::SelectedTensor> tensors{{0, 3, 1}, {3, 50, 0}};
  EXPECT_EQ(ExpectedAtMost(tensors, 2), 2);
  EXPECT_EQ(ExpectedAtMost(tensors, 3), 3);
  EXPECT_EQ(ExpectedAtMost(tensors, 8), 3);
  EXPECT_EQ(MomentsOf(tensors).variance, 0);
}

TEST(Selection, IsSurelyLargeInALargeTensor) {
  EXPECT_DOUBLE_EQ(ExpectedAtMost(std::vector<comm::SelectedTensor>{{0, 100000000, 0.001}}, 8), 8);
}

}  // namespace
}  // namespace basin::trainer
