#include "trainer/strategies/local_sgd.h"

#include <gtest/gtest.h>

#include "tests/support/strategy_trial.h"

namespace basin::trainer {
namespace {

using test::BareMember;
using test::RandomMembers;
using test::RunTrial;
using test::SmallShape;
using test::Trial;

/// The steps after which the members agree, when each is set apart at every step.
std::vector<int64_t> Averagings(const LocalSgdOptions& options, int64_t steps) {
  const auto shape = SmallShape(2, steps);
  std::vector<int64_t> averaged;
  const Trial trial =
      RunTrial(options, shape, RandomMembers(shape),
               {.train = [](int64_t, int rank,
                            BareMember& own) { own.weights.fill_(static_cast<float>(rank)); },
                .observe =
                    [&](int64_t step, int rank, BareMember& own) {
                      if (rank == 0 && own.weights[0].item<float>() == 0.5f)
                        averaged.push_back(step);
                    }});
  EXPECT_EQ(trial.forecast.exchanges, std::ssize(averaged));
  test::ExpectExactForecast(trial);
  return averaged;
}

TEST(LocalSgd, AveragesWeightsAndStatistics) {
  for (int members : {2, 3, 4}) {
    const auto shape = SmallShape(members, 1);
    const auto start = RandomMembers(shape);
    const Trial trial = RunTrial(LocalSgdOptions{.when = {.every_steps = 1}}, shape, start);
    torch::Tensor mean = torch::zeros({26}, torch::kFloat64);
    for (const BareMember& member : start)
      mean += test::State(member).to(torch::kFloat64) / members;
    for (const BareMember& member : trial.members) {
      EXPECT_TRUE(torch::equal(test::State(member), test::State(trial.members[0])));
    }
    // A sum of at most four float32 and a division, magnitudes below 8.
    EXPECT_TRUE(torch::allclose(test::State(trial.members[0]).to(torch::kFloat64), mean, 0, 2e-6));
    test::ExpectExactForecast(trial);
  }
}

TEST(LocalSgd, AveragesWhenItsStepsHaveBeenTaken) {
  EXPECT_EQ(Averagings({.when = {.every_steps = 4}}, 12), (std::vector<int64_t>{3, 7, 11}));
  EXPECT_EQ(Averagings({.when = {.every_steps = 4}}, 11), (std::vector<int64_t>{3, 7}));
}

TEST(LocalSgd, AveragesAfterEveryStepBeforeItTurnsLocal) {
  EXPECT_EQ(Averagings({.post_local_from = 3, .when = {.every_steps = 4}}, 12),
            (std::vector<int64_t>{0, 1, 2, 3, 7, 11}));
  EXPECT_EQ(Averagings({.post_local_from = 99, .when = {.every_steps = 4}}, 3),
            (std::vector<int64_t>{0, 1, 2}));
}

TEST(LocalSgd, StaysWithinItsWindow) {
  EXPECT_EQ(
      Averagings({.post_local_from = 6, .when = {.every_steps = 4, .start = 0.25, .stop = 0.75}},
                 16),
      (std::vector<int64_t>{4, 5, 7, 11}));
}

}  // namespace
}  // namespace basin::trainer
