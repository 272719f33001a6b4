#include "trainer/strategies/diloco.h"

#include <gtest/gtest.h>

#include "base/clock.h"
#include "comm/in_process.h"
#include "tests/support/strategy_trial.h"

namespace basin::trainer {
namespace {

using test::BareMember;
using test::RandomMembers;
using test::RunTrial;
using test::SmallShape;
using test::Trial;

/// A local step that differs between members, steps and coordinates.
double Drift(int64_t step, int rank, int64_t i) {
  return 0.01 * std::sin(1.0 + double(step) + 2.0 * rank + 3.0 * double(i));
}

void Drifted(int64_t step, int rank, BareMember& own) {
  for (int64_t i = 0; i < own.weights.numel(); ++i)
    own.weights.data_ptr<float>()[i] += float(Drift(step, rank, i));
}

/// DiLoCo of one coordinate in doubles, as the paper's algorithm 1 writes it with torch's SGD
/// outside.
double ScalarDiloco(const DilocoOptions& options, std::vector<double> theta, int64_t steps,
                    int64_t i) {
  const double members = double(theta.size());
  const auto mean = [&] {
    double sum = 0;
    for (double x : theta) sum += x;
    return sum / members;
  };
  double outer = mean(), momentum = 0;
  for (int64_t step = 0; step < steps; ++step) {
    for (size_t n = 0; n < theta.size(); ++n) theta[n] += Drift(step, int(n), i);
    if ((step + 1) % options.when.every_steps != 0) continue;
    const double gradient = outer - mean();
    momentum = options.outer_momentum * momentum + gradient;
    outer -= options.outer_lr *
             (options.nesterov ? gradient + options.outer_momentum * momentum : momentum);
    for (double& x : theta) x = outer;
  }
  return theta[0];
}

TEST(Diloco, FollowsAPlainScalarLoop) {
  for (bool nesterov : {true, false}) {
    for (int members : {2, 3, 4}) {
      const DilocoOptions options{.nesterov = nesterov, .when = {.every_steps = 3}};
      const auto shape = SmallShape(members, 12);
      const auto start = RandomMembers(shape);
      const Trial trial = RunTrial(options, shape, start, {.train = Drifted});
      for (int64_t i = 0; i < 21; ++i) {
        std::vector<double> theta;
        for (const BareMember& member : start) theta.push_back(member.weights[i].item<double>());
        // Some 30 float32 roundings at magnitudes below 4.
        EXPECT_NEAR(trial.members[0].weights[i].item<double>(), ScalarDiloco(options, theta, 12, i),
                    4e-6);
      }
      EXPECT_TRUE(torch::equal(test::State(trial.members[1]), test::State(trial.members[0])));
      test::ExpectExactForecast(trial);
    }
  }
}

TEST(Diloco, IsLocalSgdWithOuterRateOneAndNoMomentum) {
  const auto shape = SmallShape(3, 12);
  const auto start = RandomMembers(shape);
  const Trial outer =
      RunTrial(DilocoOptions{.outer_lr = 1, .outer_momentum = 0, .when = {.every_steps = 4}}, shape,
               start, {.train = Drifted});
  const Trial local =
      RunTrial(LocalSgdOptions{.when = {.every_steps = 4}}, shape, start, {.train = Drifted});
  // outer - (outer - mean) rounds twice at each of three exchanges, magnitudes below 4.
  EXPECT_TRUE(torch::allclose(outer.members[0].weights, local.members[0].weights, 0, 2e-6));
  EXPECT_TRUE(torch::equal(outer.members[0].statistics[0], local.members[0].statistics[0]));
  EXPECT_EQ(outer.ledgers[0].payload_bytes, local.ledgers[0].payload_bytes);
}

TEST(Diloco, StandsStillWithOuterRateZero) {
  auto shape = SmallShape(2, 3);
  auto start = RandomMembers(shape);
  start[1] = test::Clone(start)[0];  // the same start, so the outer copy is exactly it
  const Trial trial = RunTrial(DilocoOptions{.outer_lr = 0, .when = {.every_steps = 3}}, shape,
                               start, {.train = Drifted});
  EXPECT_TRUE(torch::equal(trial.members[1].weights, start[0].weights));
}

/// Steps [from, to) of a run of which `saved` holds weights and the strategy's state at its border.
struct Saved {
  torch::Tensor weights, outer, momentum;
};
Saved RunPart(int64_t from, int64_t to, std::vector<Saved> saved) {
  const auto shape = SmallShape(2, 12);
  const base::ManualClock clock;
  auto members = RandomMembers(shape);
  comm::RunInProcess(2, [&](comm::Communicator& comm) {
    const int rank = comm.rank();
    BareMember& own = members[rank];
    comm::CountingCommunicator counting(comm, clock);
    MemberState state{rank, own.weights, own.moments, own.statistics, shape.slots};
    Diloco diloco({.when = {.every_steps = 2}}, shape);
    if (!saved.empty()) own.weights.copy_(saved[0].weights);
    diloco.Begin(state, comm);
    if (!saved.empty()) {
      diloco.State()[0].second->copy_(saved[0].outer);
      diloco.State()[1].second->copy_(saved[0].momentum);
    }
    for (int64_t step = from; step < to; ++step) {
      Drifted(step, rank, own);
      diloco.AfterStep({.step = step, .lr = 0.1}, state, counting);
    }
    if (rank == 0) {
      saved = {{own.weights.clone(), diloco.State()[0].second->clone(),
                diloco.State()[1].second->clone()}};
    }
  });
  return saved[0];
}

TEST(Diloco, ResumesToTheBitFromItsState) {
  const Saved whole = RunPart(0, 12, {});
  const Saved half = RunPart(0, 6, {});
  const Saved resumed = RunPart(6, 12, {half});
  EXPECT_TRUE(torch::equal(whole.weights, resumed.weights));
  EXPECT_TRUE(torch::equal(whole.momentum, resumed.momentum));
  EXPECT_GT(half.momentum.abs().max().item<float>(), 0);
}

}  // namespace
}  // namespace basin::trainer
