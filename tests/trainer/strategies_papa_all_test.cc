#include "trainer/strategies/papa_all.h"

#include <gtest/gtest.h>

#include "tests/support/strategy_trial.h"

namespace basin::trainer {
namespace {

using test::RandomMembers;
using test::RunTrial;
using test::SmallShape;
using test::Trial;

TEST(PapaAll, MakesEveryMemberTheMean) {
  for (int members : {2, 3, 4}) {
    const auto shape = SmallShape(members, 2);
    const auto start = RandomMembers(shape);
    const Trial trial = RunTrial(PapaAllOptions{.renorm = Renorm::kNone}, shape, start);
    torch::Tensor mean = torch::zeros({26}, torch::kFloat64);
    for (const auto& member : start) mean += test::State(member).to(torch::kFloat64) / members;
    for (const auto& member : trial.members) {
      EXPECT_TRUE(torch::equal(test::State(member), test::State(trial.members[0])));
    }
    // A sum of at most four float32 and a division, magnitudes below 8.
    EXPECT_TRUE(torch::allclose(test::State(trial.members[0]).to(torch::kFloat64), mean, 0, 2e-6));
    test::ExpectExactForecast(trial);
  }
}

TEST(PapaAll, RepairsTowardTheMeanOfTheParentsActivations) {
  const auto shape = SmallShape(3, 2);
  const auto start = RandomMembers(shape);
  const Trial trial = RunTrial(PapaAllOptions{}, shape, start);
  const torch::Tensor expected =
      test::MeanWeights(start).narrow(0, 0, 2);  // the recorder's activations
  for (const auto& targets : trial.repair_targets) {
    ASSERT_EQ(targets.size(), 1u);
    EXPECT_TRUE(torch::allclose(targets[0], expected, 0, 1e-12));  // doubles
  }
  test::ExpectExactForecast(trial);
}

TEST(PapaAll, CountsTheActivationsThatTravel) {
  const auto shape = SmallShape(3, 2);
  const Trial repair = RunTrial(PapaAllOptions{}, shape, RandomMembers(shape));
  const Trial none = RunTrial(PapaAllOptions{.renorm = Renorm::kNone}, shape, RandomMembers(shape));
  EXPECT_DOUBLE_EQ(repair.forecast.bytes_per_rank - none.forecast.bytes_per_rank,
                   2 * (2.0 / 3) * 2 * 8);
}

TEST(PapaAll, ResetsWhenToldTo) {
  const auto shape = SmallShape(3, 2);
  const Trial trial =
      RunTrial(PapaAllOptions{.renorm = Renorm::kReset}, shape, RandomMembers(shape));
  EXPECT_EQ(trial.resets, (std::vector<int>{1, 1, 1}));
  EXPECT_TRUE(trial.repair_targets[0].empty());
  test::ExpectExactForecast(trial);
}

TEST(PapaAll, MergesAfterTheFirstEpochAndNotAfterTheLast) {
  auto shape = SmallShape(2, 22);
  shape.steps_per_epoch = 2;  // 11 epochs
  std::vector<int64_t> merged;
  RunTrial(PapaAllOptions{.every_epochs = 5, .renorm = Renorm::kNone}, shape, RandomMembers(shape),
           {.train = [&](int64_t, int rank,
                         test::BareMember& own) { own.weights.fill_(static_cast<float>(rank)); },
            .observe =
                [&](int64_t step, int rank, test::BareMember& own) {
                  if (rank == 1 && own.weights[0].item<float>() == 0.5f) merged.push_back(step);
                }});
  EXPECT_EQ(merged, (std::vector<int64_t>{1, 11}));  // the ends of epochs 0 and 5
}

}  // namespace
}  // namespace basin::trainer
