#include "trainer/strategies/dart.h"

#include <gtest/gtest.h>

#include "tests/support/strategy_trial.h"

namespace basin::trainer {
namespace {

using test::BareMember;
using test::RandomMembers;
using test::RunTrial;
using test::SmallShape;
using test::Trial;

/// Numbers of completed epochs after which the members agree, when each is set apart at every step.
std::vector<int64_t> Aggregations(const DartOptions& options, int64_t epochs) {
  auto shape = SmallShape(2, 3 * epochs);
  shape.steps_per_epoch = 3;
  std::vector<int64_t> completed;
  const Trial trial =
      RunTrial(options, shape, RandomMembers(shape),
               {.train = [](int64_t, int rank,
                            BareMember& own) { own.weights.fill_(static_cast<float>(rank)); },
                .observe =
                    [&](int64_t step, int rank, BareMember& own) {
                      if (rank == 0 && own.weights[0].item<float>() == 0.5f)
                        completed.push_back((step + 1) / 3);
                    }});
  EXPECT_EQ(trial.forecast.exchanges, std::ssize(completed));
  test::ExpectExactForecast(trial);
  return completed;
}

TEST(Dart, MakesMembersAgreeOnTheMeanOfTheFullState) {
  for (int members : {2, 3, 4}) {
    const auto shape = SmallShape(members, 1);
    const auto start = RandomMembers(shape);
    const Trial trial = RunTrial(DartOptions{}, shape, start);
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

TEST(Dart, BeginsAtHalfOfTraining) {
  EXPECT_EQ(Aggregations({}, 10), (std::vector<int64_t>{5}));
  EXPECT_EQ(Aggregations({.every_epochs = 2}, 9), (std::vector<int64_t>{4, 6, 8}));
  EXPECT_EQ(Aggregations({}, 1), (std::vector<int64_t>{1}));
}

TEST(Dart, AveragesAfterTheLastEpochTooWhenItIsDue) {
  EXPECT_EQ(Aggregations({.from_epoch = 3, .every_epochs = 2}, 9),
            (std::vector<int64_t>{3, 5, 7, 9}));
}

TEST(Dart, DoesNothingWhenItBeginsAfterTheEnd) {
  EXPECT_TRUE(Aggregations({.from_epoch = 11}, 10).empty());
}

}  // namespace
}  // namespace basin::trainer
