#include "trainer/strategies/wash.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/strategy_trial.h"

namespace basin::trainer {
namespace {

using test::BareMember;
using test::RandomMembers;
using test::RunTrial;
using test::SmallShape;
using test::StackWeights;
using test::Trial;

RunShape OneTensor(int members, int64_t elements, int64_t steps) {
  RunShape shape = SmallShape(members, steps);
  shape.slots = test::Slots({{"a.weight", elements}});
  shape.num_parameters = elements;
  return shape;
}

/// Share of entries in which a and b differ.
double ShareChanged(const torch::Tensor& a, const torch::Tensor& b) {
  return a.ne(b).to(torch::kFloat64).mean().item<double>();
}

/// The multiset of the members' values at each coordinate.
torch::Tensor Sorted(const std::vector<BareMember>& members) {
  return std::get<0>(StackWeights(members).sort(0));
}

TEST(Wash, PermutesAndLosesNothing) {
  for (int members : {1, 2, 3, 4}) {
    const auto shape = SmallShape(members, 20);
    const auto start = RandomMembers(shape);
    const Trial trial = RunTrial(WashOptions{.p = 0.3, .law = DepthLaw::kConstant}, shape, start);
    EXPECT_TRUE(torch::equal(Sorted(trial.members), Sorted(start)));
    EXPECT_EQ(torch::equal(StackWeights(trial.members), StackWeights(start)), members == 1);
  }
}

TEST(Wash, LeavesStatisticsAtHome) {
  const auto shape = SmallShape(3, 5);
  const auto start = RandomMembers(shape);
  const Trial trial = RunTrial(WashOptions{.p = 0.5}, shape, start);
  for (int n = 0; n < 3; ++n) {
    EXPECT_TRUE(torch::equal(trial.members[n].statistics[0], start[n].statistics[0]));
    EXPECT_TRUE(torch::equal(trial.members[n].statistics[1], start[n].statistics[1]));
  }
}

TEST(Wash, CarriesMomentsAlongWithTheirWeights) {
  const auto shape = SmallShape(4, 10);
  auto start = RandomMembers(shape);
  for (BareMember& member : start) member.moments = {2 * member.weights, -member.weights};
  const Trial trial = RunTrial(WashOptions{.p = 0.5, .optimizer_state = true}, shape, start);
  for (const BareMember& member : trial.members) {
    EXPECT_TRUE(torch::equal(member.moments[0], 2 * member.weights));
    EXPECT_TRUE(torch::equal(member.moments[1], -member.weights));
  }
}

TEST(Wash, MovesTheShareOfPlacesThatPNames) {
  for (int members : {2, 3, 4}) {
    const auto shape = OneTensor(members, 50000, 1);
    const auto start = RandomMembers(shape);
    const double p = 0.1;
    const Trial trial = RunTrial(WashOptions{.p = p}, shape, start);
    const double share = ShareChanged(StackWeights(trial.members), StackWeights(start));
    // Places of one coordinate move together: its share of moved places has a variance below p.
    EXPECT_NEAR(share, p, 5 * std::sqrt(p / 50000)) << members << " members";
  }
}

TEST(Wash, MovesNothingInTheLastTensorAndHalfInTheMiddle) {
  RunShape shape = SmallShape(3, 1);
  shape.slots = test::Slots({{"a.weight", 20000}, {"b.weight", 20000}, {"c.weight", 20000}});
  shape.num_parameters = 60000;
  const auto start = RandomMembers(shape);
  const Trial trial = RunTrial(WashOptions{.p = 0.2}, shape, start);
  const torch::Tensor before = StackWeights(start).view({3, 3, -1}),
                      after = StackWeights(trial.members).view({3, 3, -1});
  const double sigma = std::sqrt(0.2 / 20000);  // as above
  EXPECT_NEAR(ShareChanged(before.select(1, 0), after.select(1, 0)), 0.2, 5 * sigma);
  EXPECT_NEAR(ShareChanged(before.select(1, 1), after.select(1, 1)), 0.1, 5 * sigma);
  EXPECT_EQ(ShareChanged(before.select(1, 2), after.select(1, 2)), 0);
}

TEST(Wash, PullsEachWeightToTheMeanInExpectation) {
  // E[theta'] = (1 - q) theta + q mean, q = p / (1 - 1/N); Var[theta'] <= E[(theta' - theta)^2] = q
  // mean_m (theta_m - theta)^2.
  const int kSteps = 4000, kMembers = 3;
  const double p = 0.2, q = p / (1 - 1.0 / kMembers);
  const auto shape = SmallShape(kMembers, kSteps);
  const auto start = RandomMembers(shape);
  torch::Tensor sum = torch::zeros({kMembers, 21}, torch::kFloat64);
  RunTrial(
      WashOptions{.p = p, .law = DepthLaw::kConstant}, shape, start,
      {.train = [&](int64_t, int rank, BareMember& own) { own.weights.copy_(start[rank].weights); },
       .observe = [&](int64_t, int rank, BareMember& own) { sum[rank] += own.weights; }});
  const torch::Tensor theta = StackWeights(start), mean = theta.mean(0, true);
  const torch::Tensor expected = (1 - q) * theta + q * mean;
  const torch::Tensor variance = q * (theta.unsqueeze(0) - theta.unsqueeze(1)).square().mean(1);
  const torch::Tensor sigmas = (sum / kSteps - expected).abs() / (variance / kSteps).sqrt();
  EXPECT_LT(sigmas.max().item<double>(), 5);
}

TEST(Wash, ActsInEveryStepOfItsWindow) {
  const auto shape = SmallShape(2, 10);
  const auto start = RandomMembers(shape);
  std::vector<int64_t> acted;
  // p = 1/2 selects every coordinate of two members; that all 21 stay has probability 2^-21.
  RunTrial(
      WashOptions{.p = 0.5, .law = DepthLaw::kConstant, .when = {.every_steps = 3, .start = 0.3}},
      shape, start,
      {.train = [&](int64_t, int rank, BareMember& own) { own.weights.copy_(start[rank].weights); },
       .observe =
           [&](int64_t step, int rank, BareMember& own) {
             if (rank == 0 && !torch::equal(own.weights, start[0].weights)) acted.push_back(step);
           }});
  EXPECT_EQ(acted, (std::vector<int64_t>{3, 6, 9}));
}

TEST(Wash, FollowsTheLearningRateWhenToldTo) {
  auto shape = OneTensor(3, 2000, 40);
  shape.lr_at = [](int64_t step) { return step < 20 ? 0.05 : 0.0; };
  int64_t late_changes = 0;
  torch::Tensor middle;
  const Trial trial =
      RunTrial(WashOptions{.p = 0.1, .schedule = RateSchedule::kLr}, shape, RandomMembers(shape),
               {.observe = [&](int64_t step, int rank, BareMember& own) {
                 if (rank != 0) return;
                 if (step == 19) middle = own.weights.clone();
                 if (step > 19) late_changes += own.weights.ne(middle).sum().item<int64_t>();
               }});
  EXPECT_EQ(late_changes, 0);
  // 20 exchanges at half of p, 4 bytes a moved place.
  EXPECT_NEAR(trial.forecast.bytes_per_rank, 20 * 0.05 * 2000 * 4, 1e-6);
  EXPECT_NEAR(trial.mean_bytes(), trial.forecast.bytes_per_rank, 5 * trial.forecast.bytes_stddev);
}

TEST(Wash, PredictsTheSpreadOfItsBytes) {
  // The standardised bytes of independent runs have variance 1; over 400 runs its estimate has
  // deviation sqrt(2 / 400) = 0.07.
  for (int members : {2, 3}) {
    double squares = 0;
    for (uint64_t seed = 1; seed <= 400; ++seed) {
      auto shape = OneTensor(members, 50, 3);
      shape.seed = seed;
      const Trial trial = RunTrial(WashOptions{.p = 0.3}, shape, RandomMembers(shape));
      const double difference = trial.mean_bytes() - trial.forecast.bytes_per_rank;
      squares += std::pow(difference / trial.forecast.bytes_stddev, 2) / 400;
    }
    EXPECT_NEAR(squares, 1, 0.3) << members << " members";
  }
}

TEST(Wash, SendsAtMostOneMessageAPeerAndExchange) {
  const auto shape = SmallShape(4, 30);
  const Trial trial =
      RunTrial(WashOptions{.p = 0.7, .optimizer_state = true}, shape, RandomMembers(shape));
  for (const auto& ledger : trial.ledgers) EXPECT_LE(ledger.messages, 3 * ledger.exchanges);
}

}  // namespace
}  // namespace basin::trainer
