// What every strategy promises, whatever it does: one suite, one row a strategy.
#include <gmock/gmock.h>

#include "tests/support/strategy_trial.h"

namespace basin::trainer {
namespace {

using test::BareMember;
using test::RandomMembers;
using test::RunTrial;
using test::SmallShape;
using test::Trial;

/// Acts often, so that a short trial sees many exchanges.
std::vector<StrategyOptions> AllStrategies() {
  return {IndependentOptions{},
          WashOptions{.p = 0.3, .optimizer_state = true, .schedule = RateSchedule::kCosine},
          PapaOptions{.alpha = 0.9, .when = {.every_steps = 2}},
          PapaAllOptions{.every_epochs = 3},
          Papa2Options{.every_epochs = 3},
          DartOptions{.every_epochs = 2},
          LocalSgdOptions{.post_local_from = 3, .when = {.every_steps = 4}},
          DilocoOptions{.when = {.every_steps = 4}},
          SpartaOptions{.p = 0.2},
          GossipOptions{.when = {.every_steps = 2}}};
}

class AnyStrategy : public testing::TestWithParam<size_t> {
 protected:
  StrategyOptions options() const { return AllStrategies().at(GetParam()); }
};

void ExpectSameBits(const BareMember& a, const BareMember& b) {
  EXPECT_TRUE(torch::equal(test::State(a), test::State(b)));
  for (size_t m = 0; m < a.moments.size(); ++m) {
    EXPECT_TRUE(torch::equal(a.moments[m], b.moments[m]));
  }
}

TEST_P(AnyStrategy, LeavesOneMemberAloneAndSendsNothing) {
  const auto start = RandomMembers(SmallShape(1, 12));
  const Trial trial = RunTrial(options(), SmallShape(1, 12), start);
  ExpectSameBits(trial.members[0], start[0]);
  EXPECT_EQ(trial.ledgers[0].payload_bytes, 0);
  EXPECT_EQ(trial.ledgers[0].messages, 0);
  EXPECT_EQ(trial.ledgers[0].exchanges, trial.forecast.exchanges);
  EXPECT_EQ(trial.forecast.bytes_per_rank, 0);
  EXPECT_EQ(trial.forecast.messages_per_rank, 0);
}

TEST_P(AnyStrategy, SendsWhatItPredicts) {
  for (int members : {2, 3, 4}) {
    const auto shape = SmallShape(members, 200);
    const Trial trial = RunTrial(options(), shape, RandomMembers(shape));
    // Bytes: five standard deviations of the draw; a dense strategy has none and must agree to the
    // rounding of doubles.
    const double rounding = 1e-9 * trial.forecast.bytes_per_rank;
    EXPECT_NEAR(trial.mean_bytes(), trial.forecast.bytes_per_rank,
                5 * trial.forecast.bytes_stddev + rounding);
    // A drawn strategy's mean messages of one exchange lie in [0, 2 (N - 1)], so their standard
    // deviation is at most N - 1.
    const double spread =
        trial.forecast.bytes_stddev == 0 ? 0 : (members - 1) * std::sqrt(trial.forecast.exchanges);
    EXPECT_NEAR(trial.mean_messages(), trial.forecast.messages_per_rank, 5 * spread + rounding);
    for (const auto& ledger : trial.ledgers) EXPECT_EQ(ledger.exchanges, trial.forecast.exchanges);
  }
}

TEST_P(AnyStrategy, GivesTheSameBitsTwice) {
  const auto shape = SmallShape(3, 12);
  const Trial once = RunTrial(options(), shape, RandomMembers(shape));
  const Trial twice = RunTrial(options(), shape, RandomMembers(shape));
  for (int n = 0; n < 3; ++n) ExpectSameBits(once.members[n], twice.members[n]);
}

TEST_P(AnyStrategy, TouchesMomentsOnlyInWashOpt) {
  const auto shape = SmallShape(3, 12);
  const auto start = RandomMembers(shape);
  const Trial trial = RunTrial(options(), shape, start);
  const bool moved = !torch::equal(trial.members[0].moments[1], start[0].moments[1]);
  EXPECT_EQ(moved, std::holds_alternative<WashOptions>(options()));
}

TEST_P(AnyStrategy, AcceptsARunOfOneStepAndOneOfNone) {
  for (int64_t steps : {0, 1}) {
    const auto shape = SmallShape(2, steps);
    const Trial trial = RunTrial(options(), shape, RandomMembers(shape));
    EXPECT_LE(trial.forecast.exchanges, steps);
    EXPECT_EQ(trial.ledgers[1].exchanges, trial.forecast.exchanges);
  }
}

INSTANTIATE_TEST_SUITE_P(Strategies, AnyStrategy, testing::Range(size_t{0}, AllStrategies().size()),
                         [](const auto& p) {
                           std::string name(StrategyName(AllStrategies()[p.param]));
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST(StrategyRegistry, KnowsEveryStrategyOfTheContractByName) {
  EXPECT_THAT(StrategyNames(),
              testing::ElementsAre("independent", "wash", "papa", "papa-all", "papa-2", "dart",
                                   "local-sgd", "diloco", "sparta", "gossip"));
}

TEST(StrategyRegistry, HasARowInTheSuiteForEach) {
  std::vector<std::string> tested;
  for (const StrategyOptions& options : AllStrategies()) tested.emplace_back(StrategyName(options));
  EXPECT_EQ(tested, StrategyNames());
}

}  // namespace
}  // namespace basin::trainer
