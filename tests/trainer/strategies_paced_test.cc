#include "trainer/strategies/paced.h"

#include <gmock/gmock.h>

#include <cmath>

#include "base/seed.h"
#include "tests/support/link_trial.h"
#include "tests/support/strategy_trial.h"

namespace basin::trainer {
namespace {

/// Steps of about 10 ms each, of another length for every rank and step, and exchanges over a link of 1 ms and 1 MB/s: 42 ms for a
/// dense one between two.
test::LinkTrial Train(const StrategyOptions& options, int members, int64_t steps) {
  RunShape shape = test::SmallShape(members, steps);
  shape.slots = test::Slots({{"a", 3000}, {"b", 7000}});
  shape.num_parameters = 10'000;
  const auto step_seconds = [](int rank, int64_t step) {
    base::Stream stream({.run_seed = 5, .a = static_cast<uint64_t>(rank), .b = static_cast<uint64_t>(step)});
    return 10e-3 * (0.9 + 0.2 * stream.NextDouble());
  };
  return test::RunOnLink(options, shape, {.latency = 1e-3, .bytes_per_second = 1e6}, step_seconds);
}

std::vector<StrategyOptions> All(const Budget& budget) {
  const StepWindow when{.budget = budget};
  // p so that a sparse exchange costs about as much as a dense one: its bytes are not what is limited here.
  return {WashOptions{.p = 0.5, .law = DepthLaw::kConstant, .when = when},
          SpartaOptions{.p = 0.5, .when = when},
          PapaOptions{.when = when},
          LocalSgdOptions{.when = when},
          DilocoOptions{.when = when},
          GossipOptions{.when = when}};
}

TEST(Paced, EveryStrategyEndsWithinTwoPercentOfItsSeconds) {
  for (int members : {2, 3}) {
    for (const StrategyOptions& options : All({.seconds = 4.0})) {
      const test::LinkTrial trial = Train(options, members, 600);
      EXPECT_NEAR(trial.mean_exchange_seconds(), 4.0, 0.02 * 4.0) << StrategyName(options) << " with " << members << " members";
      for (const comm::Ledger& ledger : trial.ledgers) EXPECT_EQ(ledger.exchanges, trial.ledgers[0].exchanges);
    }
  }
}

TEST(Paced, EveryStrategyEndsWithinTwoPercentOfItsShareOfTheTime) {
  for (const StrategyOptions& options : All({.share = 0.4})) {
    const test::LinkTrial trial = Train(options, 2, 600);
    const double exchange = trial.mean_exchange_seconds(), share = exchange / (exchange + trial.mean_train_seconds());
    EXPECT_NEAR(share, 0.4, 0.02 * 0.4) << StrategyName(options);
  }
}

TEST(Paced, ActsWithinItsWindowAlone) {
  const test::LinkTrial trial = Train(PapaOptions{.when = {.start = 0.5, .stop = 0.5, .budget = Budget{.seconds = 4}}}, 2, 100);
  EXPECT_EQ(trial.ledgers[0].exchanges, 0);
  EXPECT_EQ(trial.mean_exchange_seconds(), 0);
}

TEST(Paced, ABudgetThatEveryStepCannotSpendIsLeftOver) {
  const test::LinkTrial trial = Train(PapaOptions{.when = {.budget = Budget{.seconds = 1000}}}, 2, 50);
  EXPECT_EQ(trial.ledgers[0].exchanges, 50);
}

TEST(Paced, ABudgetBelowTwoExchangesEndsWithThem) {
  const test::LinkTrial trial = Train(PapaOptions{.when = {.budget = Budget{.seconds = 0.001}}}, 2, 50);
  EXPECT_EQ(trial.ledgers[0].exchanges, 2);
}

TEST(Paced, SaysThatItsBytesAreNotKnown) {
  const RunShape shape = test::SmallShape(2, 50);
  EXPECT_FALSE(MakeStrategy(PapaOptions{.when = {.budget = Budget{.seconds = 1}}}, shape)->Predict().is_known);
  EXPECT_TRUE(MakeStrategy(PapaOptions{}, shape)->Predict().is_known);
}

/// A run of 4000 steps against a budget, with exchanges that cost what `cost` says; the seconds spent, and by how many reviews.
struct Spent {
  double seconds = 0;
  int64_t exchanges = 0, reviews = 0;
};
Spent Spend(Pacer& pacer, const std::function<double(int64_t exchange)>& cost, Spent so_far = {}, int64_t from = 0, int64_t to = 4000) {
  Spent spent = so_far;
  const auto learn = [&](int64_t step, int64_t next) {
    if (!pacer.wants_to_know()) return;
    ++spent.reviews;
    pacer.Learn({.exchange_seconds = spent.seconds,
                 .train_seconds = 0.01 * static_cast<double>(step + 1),
                 .exchanges = spent.exchanges,
                 .steps = step + 1},
                next);
  };
  for (int64_t step = from; step < to; ++step) {
    learn(step, step);
    if (!pacer.Acts(step)) continue;
    spent.seconds += cost(spent.exchanges++);
    learn(step, step + 1);
  }
  return spent;
}

TEST(Pacer, KeepsItsBudgetThoughCostsScatterAndTheFirstIsSlow) {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    base::Stream stream({.run_seed = seed});
    const auto cost = [&](int64_t exchange) { return (exchange == 0 ? 30 : 1) * 0.05 * std::exp(stream.NextDouble() * 2 - 1); };
    Pacer pacer({.seconds = 15}, 0, 4000, 4000);
    const Spent spent = Spend(pacer, cost);
    EXPECT_NEAR(spent.seconds, 15, 0.02 * 15) << "seed " << seed;
    EXPECT_LT(spent.reviews, 80) << "seed " << seed;  // 8 ln(300) and the single ones at both ends
  }
}

TEST(Pacer, FollowsCostsThatFall) {
  Pacer pacer({.seconds = 15}, 0, 4000, 4000);
  EXPECT_NEAR(Spend(pacer, [](int64_t k) { return 0.1 / (1 + 0.01 * static_cast<double>(k)); }).seconds, 15, 0.02 * 15);
}

TEST(Pacer, GoesOnFromWhatTheLedgerSays) {
  const auto cost = [](int64_t) { return 0.05; };
  Pacer before({.seconds = 15}, 0, 4000, 4000), after({.seconds = 15}, 0, 4000, 4000);
  const Spent half = Spend(before, cost, {}, 0, 1700);
  EXPECT_NEAR(Spend(after, cost, half, 1700).seconds, 15, 0.02 * 15);
}

TEST(Pacer, SpreadsExchangesEvenly) {
  Pacer pacer({.seconds = 20}, 1000, 3000, 4000);
  const auto cost = [](int64_t) { return 0.05; };
  Spent spent;
  std::vector<int64_t> at;
  for (int64_t to = 400; to <= 4000; to += 400) {
    spent = Spend(pacer, cost, spent, to - 400, to);
    at.push_back(spent.exchanges);
  }
  EXPECT_EQ(at[1], 0);                              // before step 1000
  EXPECT_EQ(at[9], 400);                            // 20 s
  EXPECT_EQ(at[9], at[7]);                          // none after step 3000
  EXPECT_NEAR(static_cast<double>(at[4]), 200, 4);  // half of them at step 2000; the first two came early
}

}  // namespace
}  // namespace basin::trainer
