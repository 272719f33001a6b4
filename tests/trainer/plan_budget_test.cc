#include "trainer/plan/budget.h"

#include <gmock/gmock.h>

#include "base/error.h"
#include "comm/in_process.h"
#include "tests/support/strategy_trial.h"

namespace basin::trainer {
namespace {

using test::RandomMembers;
using test::RunTrial;
using test::Trial;
using testing::AllOf;
using testing::HasSubstr;
using testing::ThrowsMessage;

/// 10 000 weights in three tensors, five statistics.
RunShape Shape(int members, int64_t steps) {
  RunShape shape = test::SmallShape(members, steps);
  shape.slots = test::Slots({{"a", 3000}, {"b", 5000}, {"c", 2000}});
  shape.num_parameters = 10'000;
  return shape;
}

StepWindow Within(double bytes) { return {.budget = Budget{.bytes_per_rank = bytes}}; }

std::vector<StrategyOptions> AllWithin(double bytes) {
  return {WashOptions{.when = Within(bytes)},
          WashOptions{.optimizer_state = true, .schedule = RateSchedule::kCosine, .when = Within(bytes)},
          SpartaOptions{.when = Within(bytes)},
          PapaOptions{.when = Within(bytes)},
          LocalSgdOptions{.when = Within(bytes)},
          DilocoOptions{.when = Within(bytes)},
          GossipOptions{.when = Within(bytes)}};
}

TEST(Budget, EveryStrategyEndsWithinTwoPercentOfItsBytes) {
  for (int members : {2, 3, 4}) {
    const RunShape shape = Shape(members, 200);
    for (const StrategyOptions& options : AllWithin(2e6)) {
      const Trial trial = RunTrial(FitBudget(options, shape), shape, RandomMembers(shape));
      EXPECT_NEAR(trial.mean_bytes(), 2e6, 0.02 * 2e6) << StrategyName(options) << " with " << members << " members";
    }
  }
}

TEST(Budget, PIsWhatTheFormulaOfTheBytesGives) {
  // docs/strategies.md: sparta sends D(p P, 4) = 2 (N - 1)/N 4 p P a step, wash 4 P p w with w = (3000 + 5000/2)/10000.
  const RunShape shape = Shape(4, 200);
  const auto sparta = std::get<SpartaOptions>(FitBudget(SpartaOptions{.when = Within(1e6)}, shape));
  EXPECT_NEAR(sparta.p, 1e6 / (200 * 1.5 * 4 * 10'000), 1e-5 * sparta.p);
  const auto wash = std::get<WashOptions>(FitBudget(WashOptions{.when = Within(1e6)}, shape));
  EXPECT_NEAR(wash.p, 1e6 / (200 * 4 * 5500.0), 1e-5 * wash.p);
  EXPECT_FALSE(wash.when.budget);
}

TEST(Budget, PIsFoundWhereTheFirstTensorsAreChosenWhole) {
  // Two members swap at most half of the places: above p = 1/2 only the second tensor sends more.
  const RunShape shape = Shape(2, 200);
  const auto wash = std::get<WashOptions>(FitBudget(WashOptions{.when = Within(200 * 4 * 3000.0)}, shape));
  EXPECT_NEAR(wash.p, 0.6, 1e-5);  // 3000/2 + 5000 p/2 = 3000
}

TEST(Budget, DenseExchangesAreSpreadEvenlyOverTheWindow) {
  RunShape shape = Shape(2, 1000);
  StepWindow window = Within(37 * 40'020.0);  // D(10005, 4)
  window.start = 0.25;
  window.stop = 0.75;
  for (const StrategyOptions& options : {StrategyOptions(PapaOptions{.when = window}), StrategyOptions(LocalSgdOptions{.when = window})}) {
    const auto strategy = MakeStrategy(FitBudget(options, shape), shape);
    EXPECT_EQ(strategy->Predict().exchanges, 37);
    std::vector<int64_t> steps;
    const base::ManualClock clock;
    const auto alone = comm::MakeInProcess(comm::MakeInProcessGroup(1), 0, std::chrono::seconds(1));
    comm::CountingCommunicator counting(*alone, clock);
    auto members = RandomMembers(Shape(1, 1));
    MemberState state{0, members[0].weights, members[0].moments, members[0].statistics, shape.slots};
    for (int64_t step = 0; step < 1000; ++step) {
      const int64_t before = counting.ledger().exchanges;
      strategy->AfterStep({.step = step}, state, counting);
      if (counting.ledger().exchanges > before) steps.push_back(step);
    }
    ASSERT_EQ(steps.size(), 37u);
    EXPECT_GE(steps.front(), 250);
    EXPECT_LT(steps.back(), 750);
    for (size_t k = 1; k < steps.size(); ++k) EXPECT_NEAR(static_cast<double>(steps[k] - steps[k - 1]), 500.0 / 37, 1);
  }
}

TEST(Budget, TheSameIsFoundEachTime) {
  const RunShape shape = Shape(3, 200);
  const auto once = std::get<WashOptions>(FitBudget(WashOptions{.when = Within(1.234567e6)}, shape));
  const auto twice = std::get<WashOptions>(FitBudget(WashOptions{.when = Within(1.234567e6)}, shape));
  EXPECT_EQ(once.p, twice.p);
}

TEST(Budget, WithoutOneInBytesNothingChanges) {
  const RunShape shape = Shape(3, 200);
  EXPECT_EQ(std::get<WashOptions>(FitBudget(WashOptions{.p = 0.25}, shape)).p, 0.25);
  EXPECT_TRUE(std::holds_alternative<DartOptions>(FitBudget(DartOptions{}, shape)));
  const auto timed = std::get<PapaOptions>(FitBudget(PapaOptions{.when = {.budget = Budget{.seconds = 3}}}, shape));
  EXPECT_EQ(timed.when.budget->seconds, 3);
}

void ExpectRefused(const StrategyOptions& options, const RunShape& shape, const std::vector<std::string>& said) {
  for (const std::string& words : said) {
    EXPECT_THAT([&] { FitBudget(options, shape); },
                ThrowsMessage<ConfigError>(AllOf(HasSubstr("strategy.budget.bytes_per_rank: "), HasSubstr(words))));
  }
}

TEST(Budget, WhatCannotBeSpentIsRefusedWithTheNearestThatCan) {
  const RunShape shape = Shape(2, 200);
  // At p = 1, wash moves half of all places that its law leaves any share of.
  ExpectRefused(WashOptions{.when = Within(1e9)}, shape,
                {"1GB cannot be spent by wash", "p = 1, 200 exchanges", "nearest possible is 3.2MB"});
  ExpectRefused(SpartaOptions{.when = Within(1e9)}, shape, {"nearest possible is 8MB"});
  ExpectRefused(PapaOptions{.when = Within(1e9)}, shape, {"an exchange sends 40kB", "8MB (200 exchanges)"});
  ExpectRefused(PapaOptions{.when = Within(60e3)}, shape, {"40kB (1 exchange) and 80kB (2 exchanges)"});
  ExpectRefused(LocalSgdOptions{.when = Within(100)}, shape, {"40kB (1 exchange)"});
}

TEST(Budget, TheNearestThatIsNamedCanBeSpent) {
  const RunShape shape = Shape(2, 200);
  EXPECT_NO_THROW(FitBudget(WashOptions{.when = Within(3.2e6)}, shape));
  EXPECT_NO_THROW(FitBudget(SpartaOptions{.when = Within(8e6)}, shape));
  EXPECT_NO_THROW(FitBudget(PapaOptions{.when = Within(8e6)}, shape));
  EXPECT_NO_THROW(FitBudget(PapaOptions{.when = Within(40e3)}, shape));
}

TEST(Budget, DrawsTooFewToBeHeldToItAreRefusedAndTheNearestIsNot) {
  const RunShape shape = Shape(2, 200);
  std::string message;
  try {
    FitBudget(WashOptions{.when = Within(2000)}, shape);
  } catch (const ConfigError& refused) {
    message = refused.what();
  }
  EXPECT_THAT(message, AllOf(HasSubstr("scatters by"), HasSubstr("nearest possible is ")));
  const size_t at = message.find("nearest possible is ") + 20;
  double nearest = std::stod(message.substr(at));
  if (message.find("kB", at) != std::string::npos) nearest *= 1000;
  EXPECT_NO_THROW(FitBudget(WashOptions{.when = Within(nearest)}, shape)) << message;
  EXPECT_ANY_THROW(FitBudget(WashOptions{.when = Within(nearest / 1.1)}, shape)) << message;
}

TEST(Budget, RunsThatSendNothingHaveNone) {
  ExpectRefused(PapaOptions{.when = Within(1e6)}, Shape(1, 200), {"one member sends nothing"});
  StepWindow window = Within(1e6);
  window.start = window.stop = 0.5;
  ExpectRefused(PapaOptions{.when = window}, Shape(2, 200), {"no step of the run lies between"});
}

TEST(Budget, MustBeFittedBeforeAStrategyIsMade) {
  EXPECT_THROW(MakeStrategy(PapaOptions{.when = Within(1e6)}, Shape(2, 200)), CheckFailed);
}

}  // namespace
}  // namespace basin::trainer
