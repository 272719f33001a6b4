#include "trainer/strategies/papa2.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "tests/support/strategy_trial.h"

namespace basin::trainer {
namespace {

using test::RandomMembers;
using test::RunTrial;
using test::SmallShape;
using test::Trial;

TEST(DrawParents, DrawsAllPairsAlike) {
  // 99.99 % quantiles of chi-square with 5 and 9 degrees of freedom (scipy 1.15,
  // chi2.ppf): 25.74, 33.72.
  const std::map<int, double> quantile{{4, 25.74}, {5, 33.72}};
  for (const auto& [members, limit] : quantile) {
    const int64_t kEpochs = 3000, num_pairs = members * (members - 1) / 2;
    std::vector<std::map<std::pair<int64_t, int64_t>, int64_t>> seen(members);
    for (int64_t epoch = 0; epoch < kEpochs; ++epoch) {
      const auto parents = DrawParents(/*run_seed=*/7, epoch, members);
      for (int m = 0; m < members; ++m) ++seen[m][{parents[m].low, parents[m].high}];
    }
    for (const auto& counts : seen) {
      ASSERT_EQ(std::ssize(counts), num_pairs);
      double chi_square = 0;
      const double expected = double(kEpochs) / double(num_pairs);
      for (const auto& [pair, count] : counts) {
        EXPECT_TRUE(0 <= pair.first && pair.first < pair.second && pair.second < members);
        chi_square += (count - expected) * (count - expected) / expected;
      }
      EXPECT_LT(chi_square, limit);
    }
  }
}

TEST(DrawParents, DrawsIndependentlyForEachMember) {
  const int64_t kEpochs = 3000;
  int64_t equal = 0;
  for (int64_t epoch = 0; epoch < kEpochs; ++epoch) {
    const auto parents = DrawParents(7, epoch, 4);
    equal += parents[0].low == parents[1].low && parents[0].high == parents[1].high;
  }
  EXPECT_NEAR(double(equal) / kEpochs, 1.0 / 6,
              5 * std::sqrt(5.0 / 36 / kEpochs));  // five standard errors
}

TEST(DrawParents, HasOnePairOfTwo) {
  for (const Parents& pair : DrawParents(1, 0, 2)) {
    EXPECT_EQ(pair.low, 0);
    EXPECT_EQ(pair.high, 1);
  }
}

TEST(Papa2, MakesEachMemberTheMeanOfItsParentsToTheBit) {
  for (int members : {2, 3, 4, 5}) {
    const auto shape = SmallShape(members, 2);
    const auto start = RandomMembers(shape);
    const Trial trial = RunTrial(Papa2Options{}, shape, start);
    const auto parents = DrawParents(shape.seed, 0, members);
    for (int n = 0; n < members; ++n) {
      const auto &low = start[parents[n].low], &high = start[parents[n].high];
      EXPECT_TRUE(torch::equal(test::State(trial.members[n]),
                               (test::State(low) + test::State(high)) * 0.5));
      const torch::Tensor target = 0.5 * (low.weights + high.weights).narrow(0, 0, 2);
      ASSERT_EQ(trial.repair_targets[n].size(), 1u);
      EXPECT_TRUE(torch::allclose(trial.repair_targets[n][0], target.to(torch::kFloat64), 0, 1e-6));
    }
  }
}

TEST(Papa2, SendsEachVectorOnlyToTheChildrenThatLackIt) {
  const auto shape = SmallShape(5, 2);
  const Trial trial = RunTrial(Papa2Options{.renorm = Renorm::kNone}, shape, RandomMembers(shape));
  const auto parents = DrawParents(shape.seed, 0, 5);
  for (int rank = 0; rank < 5; ++rank) {
    int64_t children = 0;
    for (int child = 0; child < 5; ++child) children += child != rank && parents[child].Has(rank);
    EXPECT_EQ(trial.ledgers[rank].payload_bytes, children * 26 * 4);
    EXPECT_EQ(trial.ledgers[rank].messages, children);
    EXPECT_EQ(trial.ledgers[rank].exchanges, 1);
  }
}

TEST(Papa2, PredictsItsBytesExactlyForTwoMembers) {
  const auto shape = SmallShape(2, 20);
  test::ExpectExactForecast(RunTrial(Papa2Options{}, shape, RandomMembers(shape)));
}

TEST(Papa2, PredictsTheSpreadOfItsBytes) {
  // The standardised bytes of independent runs have variance 1; over 200 runs its estimate has
  // deviation sqrt(2 / 200) = 0.1.
  double squares = 0, sum = 0;
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    auto shape = SmallShape(4, 40);
    shape.seed = seed;
    const Trial trial = RunTrial(Papa2Options{}, shape, RandomMembers(shape));
    const double z =
        (trial.mean_bytes() - trial.forecast.bytes_per_rank) / trial.forecast.bytes_stddev;
    squares += z * z / 200;
    sum += z;
    EXPECT_NEAR(trial.mean_messages() / trial.forecast.messages_per_rank,
                trial.mean_bytes() / trial.forecast.bytes_per_rank, 1e-9);
  }
  EXPECT_NEAR(squares, 1, 0.5);
  EXPECT_LT(std::abs(sum), 5 * std::sqrt(200));
}

}  // namespace
}  // namespace basin::trainer
