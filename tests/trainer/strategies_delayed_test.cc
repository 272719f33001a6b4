// What travels rounded or lands late: wash and sparta with payload and delay_steps.
#include "trainer/strategies/delayed.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/clock.h"
#include "comm/in_process.h"
#include "tests/support/strategy_trial.h"

namespace basin::trainer {
namespace {

using comm::Payload;
using test::BareMember;
using test::RandomMembers;
using test::RunTrial;
using test::SmallShape;
using test::StackWeights;
using test::Trial;

WashOptions WashAt(const TravelOptions& travel, const StepWindow& when = {}) {
  return {.p = 0.4, .law = DepthLaw::kConstant, .when = when, .travel = travel};
}
SpartaOptions SpartaAt(const TravelOptions& travel, const StepWindow& when = {}) { return {.p = 0.4, .when = when, .travel = travel}; }

/// Whole numbers: sums and differences of few are exact.
std::vector<BareMember> WholeMembers(const RunShape& shape) {
  auto members = RandomMembers(shape);
  for (BareMember& member : members) member.weights.mul_(100).round_();
  return members;
}

void ExpectSameMembers(const Trial& a, const Trial& b) {
  for (size_t n = 0; n < a.members.size(); ++n) {
    EXPECT_TRUE(torch::equal(a.members[n].weights, b.members[n].weights));
    for (size_t m = 0; m < a.members[n].moments.size(); ++m) EXPECT_TRUE(torch::equal(a.members[n].moments[m], b.members[n].moments[m]));
  }
}

TEST(DelayedWash, LosesNothingWhenMembersStandStillAndEachExchangeLandsBeforeTheNext) {
  for (const int members : {2, 3, 4}) {
    const auto shape = SmallShape(members, 21);
    const auto start = RandomMembers(shape);
    const auto run = [&](int64_t delay) {
      WashOptions options = WashAt({.delay_steps = delay}, {.every_steps = 4});
      options.optimizer_state = true;
      return RunTrial(options, shape, start);
    };
    const Trial at_once = run(0);
    EXPECT_FALSE(torch::equal(StackWeights(at_once.members), StackWeights(start)));
    for (const int64_t delay : {1, 3, 4}) ExpectSameMembers(run(delay), at_once);
  }
}

TEST(DelayedWash, KeepsEveryCoordinatesMultisetOfMembersThatStandStillHoweverManyExchangesOverlap) {
  for (const int64_t delay : {1, 3, 10}) {
    const auto shape = SmallShape(3, 25);
    const auto start = RandomMembers(shape);
    const Trial trial = RunTrial(WashAt({.delay_steps = delay}), shape, start);
    EXPECT_TRUE(torch::equal(std::get<0>(StackWeights(trial.members).sort(0)), std::get<0>(StackWeights(start).sort(0)))) << delay;
    EXPECT_FALSE(torch::equal(StackWeights(trial.members), StackWeights(start)));
  }
}

TEST(DelayedWash, KeepsTheSumOverTheMembersToTheBitWhileTheyLearn) {
  for (const int64_t delay : {1, 3, 10}) {
    const auto shape = SmallShape(3, 25);
    const auto start = WholeMembers(shape);
    const Trial trial = RunTrial(WashAt({.delay_steps = delay}), shape, start, {.train = [](int64_t step, int rank, BareMember& own) {
                                   own.weights.add_(static_cast<double>((step + 2 * rank) % 5 - 2));
                                 }});
    double learnt = 0;
    for (int64_t step = 0; step < 25; ++step) {
      for (int rank = 0; rank < 3; ++rank) learnt += static_cast<double>((step + 2 * rank) % 5 - 2);
    }
    EXPECT_TRUE(torch::equal(StackWeights(trial.members).sum(0), StackWeights(start).sum(0) + learnt)) << delay;
    EXPECT_FALSE(torch::equal(StackWeights(trial.members), StackWeights(start) + learnt / 3));
  }
}

TEST(DelayedWash, LandsSoManyStepsLaterAndMomentsArriveAsTheyWereSent) {
  const auto shape = SmallShape(2, 9);
  const auto start = RandomMembers(shape);
  // Only step 2 is in the window.
  WashOptions options = WashAt({.delay_steps = 3}, {.start = 2.0 / 9, .stop = 3.0 / 9});
  options.optimizer_state = true;
  std::vector<int64_t> changed;
  torch::Tensor before = start[0].weights.clone();
  const Trial trial = RunTrial(options, shape, start,
                               {.train = [](int64_t, int, BareMember& own) { own.moments[0].add_(1); },
                                .observe = [&](int64_t step, int rank, BareMember& own) {
                                  if (rank != 0) return;
                                  if (!torch::equal(own.weights, before)) changed.push_back(step);
                                  before = own.weights.clone();
                                }});
  EXPECT_EQ(changed, std::vector<int64_t>{5});
  const torch::Tensor moved = trial.members[0].weights.ne(start[0].weights);
  // Sent after 3 steps with 3 added, landed after 6, then 3 more.
  EXPECT_TRUE(torch::equal(trial.members[0].moments[0].index({moved}), (start[1].moments[0] + 1 + 1 + 1 + 1 + 1 + 1).index({moved})));
}

TEST(DelayedWash, LandsAtTheEndOfTheRunWhatIsStillInFlight) {
  const auto shape = SmallShape(3, 1);
  const auto start = RandomMembers(shape);
  ExpectSameMembers(RunTrial(WashAt({.delay_steps = 10}), shape, start), RunTrial(WashAt({}), shape, start));
}

TEST(DelayedWash, DrawsByTheLearningRateOfTheStepThatSends) {
  auto shape = SmallShape(2, 12);
  shape.lr_at = [](int64_t step) { return step < 6 ? 0.1 : 0.0; };
  const auto start = RandomMembers(shape);
  auto options = WashAt({.delay_steps = 2}), at_once = WashAt({});
  options.schedule = at_once.schedule = RateSchedule::kLr;
  const Trial late = RunTrial(options, shape, start), now = RunTrial(at_once, shape, start);
  EXPECT_EQ(late.mean_bytes(), now.mean_bytes());
  EXPECT_GT(late.mean_bytes(), 0);
}

TEST(DelayedSparta, MakesMembersThatStandStillAgree) {
  const auto shape = SmallShape(3, 4);
  const auto start = RandomMembers(shape);
  for (const Payload payload : {Payload::kFloat32, Payload::kFloat8E4M3}) {
    SpartaOptions options = SpartaAt({.payload = payload, .delay_steps = 2}, {.every_steps = 4});
    options.p = 1;
    const Trial trial = RunTrial(options, shape, start);
    for (int n = 1; n < 3; ++n) EXPECT_TRUE(torch::equal(trial.members[n].weights, trial.members[0].weights));
    torch::Tensor mean = torch::zeros({21});
    for (const BareMember& member : start) mean += comm::Rounded(member.weights, payload);
    EXPECT_TRUE(torch::equal(trial.members[0].weights, mean / 3));
  }
}

TEST(DelayedSparta, KeepsTheMeanOverTheMembersUpToRounding) {
  const auto shape = SmallShape(4, 40);
  const auto start = RandomMembers(shape);
  const Trial trial = RunTrial(SpartaAt({.delay_steps = 3}), shape, start,
                               {.train = [](int64_t, int rank, BareMember& own) { own.weights.add_(0.25 * (rank - 1)); }});
  // Members learn 0.125 a step on average. Values stay below 64: each of 40 exchanges rounds a value by less than 4 x 2^-18.
  const torch::Tensor expected = StackWeights(start).mean(0) + 40 * 0.125;
  EXPECT_LT((StackWeights(trial.members).mean(0) - expected).abs().max().item<double>(), 40 * 4 * 0x1p-18);
}

/// The members after all steps, and rank 0's ledger; before step `cut` a new strategy takes over from what the old one had in flight.
std::pair<std::vector<BareMember>, comm::Ledger> RunCut(const StrategyOptions& options, const RunShape& shape, int64_t cut) {
  auto members = RandomMembers(shape);
  comm::Ledger ledger;
  comm::RunInProcess(shape.members, [&](comm::Communicator& comm) {
    const base::ManualClock clock;
    comm::CountingCommunicator counting(comm, clock);
    BareMember& own = members[comm.rank()];
    MemberState state{comm.rank(), own.weights, own.moments, own.statistics, shape.slots};
    auto strategy = MakeStrategy(options, shape);
    for (int64_t step = 0; step < shape.total_steps; ++step) {
      if (step == cut) {
        auto next = MakeStrategy(options, shape);
        next->Resume(step, counting);
        const auto from = strategy->InFlight(), to = next->InFlight();
        ASSERT_EQ(from.size(), to.size());
        for (size_t k = 0; k < to.size(); ++k) {
          EXPECT_EQ(from[k].first, to[k].first);
          ASSERT_EQ(from[k].second->sizes(), to[k].second->sizes());
          to[k].second->copy_(*from[k].second);
        }
        strategy = std::move(next);
      }
      own.weights.add_(0.1 * (comm.rank() + 1));
      strategy->AfterStep({.step = step, .lr = 0.1}, state, counting);
    }
    if (comm.rank() == 0) ledger = counting.ledger();
  });
  return {members, ledger};
}

TEST(Delayed, GoesOnToTheSameBitsFromWhatWasInFlightAfterAnyStep) {
  const auto shape = SmallShape(3, 9);
  auto wash = WashAt({.payload = Payload::kFloat8E4M3, .delay_steps = 4}, {.every_steps = 2});
  wash.optimizer_state = true;
  const SpartaOptions sparta = SpartaAt({.payload = Payload::kBFloat16, .delay_steps = 10});
  for (const StrategyOptions& options : {StrategyOptions(wash), StrategyOptions(sparta)}) {
    const auto [whole, whole_ledger] = RunCut(options, shape, -1);
    for (int64_t cut = 0; cut < 9; ++cut) {
      const auto [parts, ledger] = RunCut(options, shape, cut);
      for (int n = 0; n < 3; ++n) {
        EXPECT_TRUE(torch::equal(parts[n].weights, whole[n].weights)) << cut;
        EXPECT_TRUE(torch::equal(parts[n].moments[1], whole[n].moments[1])) << cut;
      }
      EXPECT_EQ(ledger.payload_bytes, whole_ledger.payload_bytes);
      EXPECT_EQ(ledger.exchanges, whole_ledger.exchanges);
    }
  }
}

/// Strategies with rates so different that their ledgers tell them apart.
std::vector<StrategyOptions> AllOf(const TravelOptions& travel) {
  auto with_moments = WashAt(travel);
  with_moments.optimizer_state = true;
  return {WashAt(travel), with_moments, SpartaAt(travel), SpartaAt(travel, {.every_steps = 3, .start = 0.5})};
}
constexpr size_t kKinds = 4;

class Travelling : public testing::TestWithParam<std::tuple<Payload, int64_t>> {
 protected:
  TravelOptions travel() const { return {.payload = std::get<0>(GetParam()), .delay_steps = std::get<1>(GetParam())}; }
};

TEST_P(Travelling, SendsWhatIsPredicted) {
  for (const int members : {2, 3, 4}) {
    const auto shape = SmallShape(members, 200);
    for (const StrategyOptions& options : AllOf(travel())) {
      const Trial trial = RunTrial(options, shape, RandomMembers(shape));
      EXPECT_NEAR(trial.mean_bytes(), trial.forecast.bytes_per_rank, 5 * trial.forecast.bytes_stddev);
      // As for every drawn strategy: the mean messages of one exchange lie in [0, 2 (N - 1)].
      EXPECT_NEAR(trial.mean_messages(), trial.forecast.messages_per_rank, 5 * (members - 1) * std::sqrt(trial.forecast.exchanges));
      for (const auto& ledger : trial.ledgers) EXPECT_EQ(ledger.exchanges, trial.forecast.exchanges);
    }
  }
}

TEST_P(Travelling, TakesItsShareOfTheBytesOfFloat32) {
  const auto shape = SmallShape(3, 30);
  const TravelOptions whole{.delay_steps = travel().delay_steps};
  const auto share = 4 / comm::BytesOf(travel().payload);
  for (size_t k = 0; k < kKinds; ++k) {
    const Trial rounded = RunTrial(AllOf(travel())[k], shape, RandomMembers(shape));
    const Trial full = RunTrial(AllOf(whole)[k], shape, RandomMembers(shape));
    for (int n = 0; n < 3; ++n) {
      EXPECT_EQ(share * rounded.ledgers[n].payload_bytes, full.ledgers[n].payload_bytes);
      EXPECT_EQ(rounded.ledgers[n].messages, full.ledgers[n].messages);
    }
    EXPECT_EQ(static_cast<double>(share) * rounded.forecast.bytes_per_rank, full.forecast.bytes_per_rank);
  }
}

TEST_P(Travelling, LeavesOneMemberAloneAndSendsNothing) {
  const auto shape = SmallShape(1, 12);
  const auto start = RandomMembers(shape);
  for (const StrategyOptions& options : AllOf(travel())) {
    const Trial trial = RunTrial(options, shape, start);
    EXPECT_TRUE(torch::equal(trial.members[0].weights, start[0].weights));
    EXPECT_EQ(trial.ledgers[0].payload_bytes, 0);
    EXPECT_EQ(trial.ledgers[0].exchanges, trial.forecast.exchanges);
    EXPECT_EQ(trial.forecast.bytes_per_rank, 0);
  }
}

INSTANTIATE_TEST_SUITE_P(All, Travelling,
                         testing::Combine(testing::Values(Payload::kFloat32, Payload::kBFloat16, Payload::kFloat8E4M3,
                                                          Payload::kFloat8E5M2),
                                          testing::Values(0, 1, 4)));

}  // namespace
}  // namespace basin::trainer
