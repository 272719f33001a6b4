#include "trainer/strategies/sparta.h"

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

TEST(Sparta, AveragesChosenCoordinatesAndLeavesTheOthers) {
  for (int members : {2, 3, 4}) {
    const auto shape = OneTensor(members, 20000, 1);
    const auto start = RandomMembers(shape);
    const Trial trial = RunTrial(SpartaOptions{.p = 0.1}, shape, start);
    const torch::Tensor before = StackWeights(start), after = StackWeights(trial.members);
    const torch::Tensor chosen = after.ne(before).any(0);
    EXPECT_NEAR(chosen.to(torch::kFloat64).mean().item<double>(), 0.1,
                5 * std::sqrt(0.09 / 20000));  // binomial
    // A sum of at most four float32 and a division, magnitudes below 8.
    const torch::Tensor mean = before.mean(0, true).expand_as(before);
    EXPECT_TRUE(torch::allclose(after.index({torch::indexing::Slice(), chosen}),
                                mean.index({torch::indexing::Slice(), chosen}), 0, 2e-6));
    EXPECT_TRUE(torch::equal(after.index({torch::indexing::Slice(), ~chosen}),
                             before.index({torch::indexing::Slice(), ~chosen})));
    EXPECT_NEAR(trial.mean_bytes(), trial.forecast.bytes_per_rank, 5 * trial.forecast.bytes_stddev);
  }
}

TEST(Sparta, AveragesEverythingWithShareOne) {
  const auto shape = SmallShape(3, 1);
  const auto start = RandomMembers(shape);
  const Trial trial = RunTrial(SpartaOptions{.p = 1}, shape, start);
  EXPECT_TRUE(torch::equal(trial.members[1].weights, trial.members[0].weights));
  EXPECT_TRUE(torch::equal(trial.members[1].statistics[0], start[1].statistics[0]));
  test::ExpectExactForecast(trial);
}

TEST(Sparta, FollowsTheDepthLaw) {
  const auto shape = SmallShape(3, 1);
  const auto start = RandomMembers(shape);
  const Trial trial = RunTrial(SpartaOptions{.p = 1, .law = DepthLaw::kLinear}, shape, start);
  const torch::Tensor changed = StackWeights(trial.members).ne(StackWeights(start)).any(0);
  EXPECT_TRUE(changed.narrow(0, 0, 7).all().item<bool>());    // rate 1
  EXPECT_FALSE(changed.narrow(0, 17, 4).any().item<bool>());  // rate 0
}

TEST(Sparta, ContractsTheDistanceByTheShareInExpectation) {
  // Each coordinate loses its part c of Xi^2 with probability p: the mean over k draws has variance
  // p (1 - p) sum c^2 / k.
  const int kSteps = 2000;
  const double p = 0.25;
  const auto shape = SmallShape(3, kSteps);
  const auto start = RandomMembers(shape);
  torch::Tensor after = torch::zeros({kSteps, 3, 21}, torch::kFloat64);
  RunTrial(
      SpartaOptions{.p = p}, shape, start,
      {.train = [&](int64_t, int rank, BareMember& own) { own.weights.copy_(start[rank].weights); },
       .observe = [&](int64_t step, int rank,
                      BareMember& own) { after[step][rank].copy_(own.weights); }});
  const auto parts = [](const torch::Tensor& x) { return (x - x.mean(-2, true)).square().sum(-2); };
  const torch::Tensor c = parts(StackWeights(start));
  const double sigma = std::sqrt(p * (1 - p) * c.square().sum().item<double>() / kSteps);
  EXPECT_NEAR(parts(after).sum(-1).mean().item<double>(), (1 - p) * c.sum().item<double>(),
              5 * sigma);
}

TEST(Sparta, PredictsMessagesWhenFewerCoordinatesThanMembersAreChosen) {
  // 10 coordinates at p = 0.1 and 4 members: none is chosen in a third of the steps.
  const auto shape = OneTensor(4, 10, 3000);
  const Trial trial = RunTrial(SpartaOptions{.p = 0.1}, shape, RandomMembers(shape));
  // min(chosen, 4) has a variance below that of chosen, 0.9; one chosen coordinate costs 2 x 3 / 4
  // messages a rank.
  EXPECT_NEAR(trial.mean_messages(), trial.forecast.messages_per_rank,
              5 * 1.5 * std::sqrt(0.9 * 3000));
  EXPECT_NEAR(trial.mean_bytes(), trial.forecast.bytes_per_rank, 5 * trial.forecast.bytes_stddev);
  EXPECT_EQ(trial.ledgers[3].exchanges, 3000);
}

}  // namespace
}  // namespace basin::trainer
