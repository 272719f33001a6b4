#include "trainer/strategies/gossip.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "tests/support/strategy_trial.h"

namespace basin::trainer {
namespace {

using test::BareMember;
using test::RandomMembers;
using test::RunTrial;
using test::SmallShape;
using test::Trial;

TEST(DrawPartner, PairsTheMembersDisjointly) {
  for (int members : {1, 2, 3, 4, 7}) {
    for (int64_t step = 0; step < 50; ++step) {
      int alone = 0;
      for (int rank = 0; rank < members; ++rank) {
        const int64_t partner = DrawPartner(3, step, members, rank);
        alone += partner < 0;
        if (partner < 0) continue;
        EXPECT_NE(partner, rank);
        EXPECT_EQ(DrawPartner(3, step, members, int(partner)), rank);
      }
      EXPECT_EQ(alone, members % 2);
    }
  }
}

TEST(DrawPartner, DrawsAllPairingsAlike) {
  // Member 0 of three or four has three equally likely fates; 99.99 % quantile of chi-square with 2
  // degrees of freedom: 18.42.
  for (int members : {3, 4}) {
    std::map<int64_t, int> fates;
    for (int64_t step = 0; step < 3000; ++step) ++fates[DrawPartner(3, step, members, 0)];
    ASSERT_EQ(fates.size(), 3u);
    double chi_square = 0;
    for (const auto& [fate, count] : fates)
      chi_square += (count - 1000.0) * (count - 1000.0) / 1000;
    EXPECT_LT(chi_square, 18.42);
  }
}

TEST(Gossip, MixesBothSidesByItsWeight) {
  for (double weight : {0.0, 0.25, 0.5, 1.0}) {
    for (int members : {2, 3, 4}) {
      const auto shape = SmallShape(members, 1);
      const auto start = RandomMembers(shape);
      const Trial trial = RunTrial(GossipOptions{.weight = weight}, shape, start);
      for (int n = 0; n < members; ++n) {
        const int64_t partner = DrawPartner(shape.seed, 0, members, n);
        const torch::Tensor own = test::State(start[n]),
                            peer = test::State(start[partner < 0 ? n : partner]);
        // Three float32 roundings at magnitudes below 4; a member that sits out keeps its bits.
        EXPECT_TRUE(torch::allclose(test::State(trial.members[n]),
                                    (1 - weight) * own + weight * peer, 0, partner < 0 ? 0 : 1e-6));
      }
      test::ExpectExactForecast(trial);
    }
  }
}

TEST(Gossip, GivesBothSidesTheSameBitsAtAHalf) {
  const auto shape = SmallShape(4, 1);
  const Trial trial = RunTrial(GossipOptions{}, shape, RandomMembers(shape));
  for (int n = 0; n < 4; ++n) {
    const int64_t partner = DrawPartner(shape.seed, 0, 4, n);
    EXPECT_TRUE(torch::equal(test::State(trial.members[n]), test::State(trial.members[partner])));
  }
}

TEST(Gossip, KeepsTheMeanAndBringsTheMembersTogether) {
  const auto shape = SmallShape(5, 200);
  const auto start = RandomMembers(shape);
  const Trial trial = RunTrial(GossipOptions{.when = {.every_steps = 1}}, shape, start);
  // 200 float32 roundings at magnitudes below 4, mostly cancelling.
  EXPECT_TRUE(torch::allclose(test::MeanWeights(trial.members), test::MeanWeights(start), 0, 1e-5));
  EXPECT_TRUE(torch::allclose(trial.members[0].weights, trial.members[4].weights, 0, 1e-5));
}

TEST(Gossip, CountsTheExchangeOnAMemberThatSitsOut) {
  const auto shape = SmallShape(3, 1);
  const Trial trial = RunTrial(GossipOptions{}, shape, RandomMembers(shape));
  for (int n = 0; n < 3; ++n) {
    EXPECT_EQ(trial.ledgers[n].exchanges, 1);
    EXPECT_EQ(trial.ledgers[n].messages, DrawPartner(shape.seed, 0, 3, n) < 0 ? 0 : 1);
  }
}

TEST(Gossip, ActsAtTheFirstStepAndEveryTenthAfter) {
  const auto shape = SmallShape(2, 21);
  EXPECT_EQ(RunTrial(GossipOptions{}, shape, RandomMembers(shape)).ledgers[1].exchanges, 3);
}

}  // namespace
}  // namespace basin::trainer
