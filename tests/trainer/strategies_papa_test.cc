#include "trainer/strategies/papa.h"

#include <gtest/gtest.h>

#include "tests/support/strategy_trial.h"

namespace basin::trainer {
namespace {

using test::BareMember;
using test::RandomMembers;
using test::RunTrial;
using test::SmallShape;
using test::StackWeights;
using test::Trial;

/// Three float32 roundings at magnitudes below 4.
constexpr double kRounding = 2e-6;

double Consensus(const std::vector<BareMember>& members) {
  const torch::Tensor theta = StackWeights(members);
  return (theta - theta.mean(0)).square().sum().item<double>();
}

TEST(Papa, PullsWeightsAndStatisticsToTheMean) {
  for (int members : {1, 2, 3, 4}) {
    const auto shape = SmallShape(members, 1);
    const auto start = RandomMembers(shape);
    const Trial trial = RunTrial(PapaOptions{.alpha = 0.9}, shape, start);
    torch::Tensor mean = torch::zeros({26}, torch::kFloat64);
    for (const BareMember& member : start)
      mean += test::State(member).to(torch::kFloat64) / members;
    for (int n = 0; n < members; ++n) {
      const torch::Tensor expected = 0.9 * test::State(start[n]).to(torch::kFloat64) + 0.1 * mean;
      EXPECT_TRUE(torch::allclose(test::State(trial.members[n]).to(torch::kFloat64), expected, 0,
                                  kRounding));
    }
    test::ExpectExactForecast(trial);
  }
}

TEST(Papa, IsIndependentTrainingWithPullZero) {
  const auto shape = SmallShape(3, 5);
  const auto start = RandomMembers(shape);
  const Trial trial = RunTrial(PapaOptions{.alpha = 1, .when = {.every_steps = 1}}, shape, start);
  for (int n = 0; n < 3; ++n)
    EXPECT_TRUE(torch::equal(test::State(trial.members[n]), test::State(start[n])));
}

TEST(Papa, MakesAllMembersAgreeWithPullOne) {
  const auto shape = SmallShape(3, 1);
  const auto start = RandomMembers(shape);
  const Trial trial = RunTrial(PapaOptions{.alpha = 0}, shape, start);
  for (int n : {1, 2})
    EXPECT_TRUE(torch::equal(test::State(trial.members[n]), test::State(trial.members[0])));
  EXPECT_TRUE(
      torch::allclose(StackWeights(trial.members)[0], test::MeanWeights(start), 0, kRounding));
}

TEST(Papa, KeepsTheMeanAndContractsTheDistanceByAlphaSquared) {
  const auto shape = SmallShape(4, 3);
  const auto start = RandomMembers(shape);
  const Trial trial = RunTrial(PapaOptions{.alpha = 0.8, .when = {.every_steps = 1}}, shape, start);
  EXPECT_TRUE(
      torch::allclose(test::MeanWeights(trial.members), test::MeanWeights(start), 0, kRounding));
  EXPECT_NEAR(Consensus(trial.members) / Consensus(start), std::pow(0.8, 6),
              1e-6);  // three exchanges
}

TEST(Papa, PullsLessWhenTheLearningRateIsLower) {
  auto shape = SmallShape(3, 1);
  shape.lr_at = [](int64_t) { return 0.05; };  // half of base_lr
  const auto start = RandomMembers(shape);
  const double coupled = Consensus(RunTrial(PapaOptions{.alpha = 0.8}, shape, start).members);
  const double fixed =
      Consensus(RunTrial(PapaOptions{.alpha = 0.8, .couple_lr = false}, shape, start).members);
  EXPECT_NEAR(coupled / Consensus(start), 0.81, 1e-6);  // (1 - 0.2 / 2)^2
  EXPECT_NEAR(fixed / Consensus(start), 0.64, 1e-6);
}

TEST(Papa, NeverPushesPastTheMean) {
  auto shape = SmallShape(3, 1);
  shape.lr_at = [](int64_t) { return 1.0; };  // ten times base_lr: 1 - alpha would be 5
  const Trial trial = RunTrial(PapaOptions{.alpha = 0.5}, shape, RandomMembers(shape));
  EXPECT_EQ(Consensus(trial.members), 0);
}

TEST(Papa, PullsFullyWhenTheBaseLearningRateIsZero) {
  auto shape = SmallShape(3, 1);
  shape.base_lr = 0;
  shape.lr_at = [](int64_t) { return 0.0; };
  const auto start = RandomMembers(shape);
  EXPECT_NEAR(
      Consensus(RunTrial(PapaOptions{.alpha = 0.8}, shape, start).members) / Consensus(start), 0.64,
      1e-6);
}

TEST(Papa, LeavesStatisticsAloneAndUnsentWithoutBuffers) {
  const auto shape = SmallShape(3, 1);
  const auto start = RandomMembers(shape);
  const Trial trial = RunTrial(PapaOptions{.alpha = 0, .buffers = false}, shape, start);
  EXPECT_TRUE(torch::equal(trial.members[1].statistics[0], start[1].statistics[0]));
  EXPECT_TRUE(torch::equal(trial.members[1].weights, trial.members[0].weights));
  EXPECT_DOUBLE_EQ(trial.forecast.bytes_per_rank, 2 * (2.0 / 3) * 21 * 4);
  test::ExpectExactForecast(trial);
}

TEST(Papa, ActsAtTheFirstStepAndEveryTenthAfter) {
  const auto shape = SmallShape(2, 21);
  const Trial trial = RunTrial(PapaOptions{}, shape, RandomMembers(shape));
  EXPECT_EQ(trial.forecast.exchanges, 3);  // steps 0, 10 and 20, the last
  test::ExpectExactForecast(trial);
}

}  // namespace
}  // namespace basin::trainer
