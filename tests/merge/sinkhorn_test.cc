#include "merge/sinkhorn.h"

#include <gtest/gtest.h>
#include <torch/autograd.h>

#include <algorithm>

#include "base/error.h"
#include "merge/midpoint.h"
#include "tests/support/permuted.h"

namespace basin::merge {
namespace {

using tests::RandomTensor;
using tests::RelativeDifference;
using tests::RoughModel;

const models::InputShape kImage{3, 8, 8};

torch::Tensor Cost(int64_t n, uint64_t seed) { return RandomTensor({n, n}, seed).to(torch::kFloat64); }

TEST(Sinkhorn, IsDoublyStochasticAndKeepsRatios) {
  const torch::Tensor cost = Cost(7, 1);
  const torch::Tensor p = Sinkhorn(cost, 0.5, 500);
  EXPECT_LT((p.sum(0) - 1).abs().max().item<double>(), 1e-12);
  EXPECT_LT((p.sum(1) - 1).abs().max().item<double>(), 1e-12);
  // P = diag(u) exp(-C / tau) diag(v): cross ratios are those of the kernel.
  const auto cross = [](const torch::Tensor& m) { return (m[0][0] * m[1][1] / (m[0][1] * m[1][0])).item<double>(); };
  EXPECT_NEAR(cross(p), cross((-cost / 0.5).exp()), 1e-9 * cross(p));
}

TEST(Sinkhorn, HasTheGradientOfFiniteDifferences) {
  for (const int64_t n : {1, 2, 5}) {
    const torch::Tensor weights = Cost(n, 2);
    const auto loss = [&](const torch::Tensor& cost) { return (Sinkhorn(cost, 0.7, 400) * weights).square().sum(); };
    const torch::Tensor cost = Cost(n, 1).requires_grad_();
    const torch::Tensor found = torch::autograd::grad({loss(cost)}, {cost})[0];
    for (int64_t i = 0; i < n * n; ++i) {
      torch::Tensor up = cost.detach().clone(), down = up.clone();
      up.view(-1)[i] += 1e-5;
      down.view(-1)[i] -= 1e-5;
      const double slope = (loss(up) - loss(down)).item<double>() / 2e-5;
      EXPECT_NEAR(found.view(-1)[i].item<double>(), slope, 1e-8) << n << ", " << i;  // steps squared, and rounding over the step
    }
  }
}

TEST(Sinkhorn, HasTheGradientOfTheUnrolledIterations) {
  const torch::Tensor weights = Cost(9, 2), cost = Cost(9, 1).requires_grad_();
  const auto gradient = [&](const torch::Tensor& p) { return torch::autograd::grad({(p * weights).sum()}, {cost})[0]; };
  EXPECT_LT(RelativeDifference(gradient(Sinkhorn(cost, 1, 500)), gradient(SinkhornUnrolled(cost, 1, 500))), 1e-10);
  // At the usual 20 iterations the rows' sums are off by little.
  EXPECT_LT(RelativeDifference(gradient(Sinkhorn(cost, 1, 20)), gradient(SinkhornUnrolled(cost, 1, 20))), 1e-4);
}

TEST(Sinkhorn, RefusesWhatIsNoCost) {
  EXPECT_THROW(Sinkhorn(Cost(3, 1).narrow(0, 0, 2), 1, 20), CheckFailed);
  EXPECT_THROW(Sinkhorn(Cost(3, 1), 0, 20), CheckFailed);
}

struct Pair {
  explicit Pair(const models::ModelOptions& options)
      : network(RoughModel(options, kImage, 9)), spec(network->symmetry()), a(models::CloneState(models::StateOf(*RoughModel(options, kImage, 1)))),
        b(models::CloneState(models::StateOf(*RoughModel(options, kImage, 500)))) {}
  std::shared_ptr<models::Classifier> network;
  models::PermutationSpec spec;
  models::StateDict a, b;
};

TEST(MatchSinkhorn, PutsAShuffledNetworkBackInOrder) {
  Pair pair({.name = "mlp", .norm = models::Norm::kNone, .hidden = {12, 10}});
  const auto shuffled = models::ApplyPermutations(pair.spec, tests::RandomPermutations(pair.spec, pair.a, 5), pair.a);
  const SinkhornMatching found = MatchSinkhorn(*pair.network, pair.a, shuffled);
  EXPECT_TRUE(tests::SameBits(models::ApplyPermutations(pair.spec, found.permutations, shuffled), pair.a));
  EXPECT_EQ(found.hard[found.best_step], 0);
}

TEST(MatchSinkhorn, KeepsAWarmStartThatNothingBeats) {
  Pair pair({.name = "resnet20", .width = 0.25});
  const auto planted = tests::RandomPermutations(pair.spec, pair.a, 5);
  const auto shuffled = models::ApplyPermutations(pair.spec, planted, pair.a);
  models::Permutations warm;
  for (const auto& [id, pi] : planted) warm[id] = pi.argsort();
  const SinkhornMatching found = MatchSinkhorn(*pair.network, pair.a, shuffled, {.weight_steps = 2, .warm = warm});
  EXPECT_EQ(found.best_step, 0);
  for (const auto& [id, pi] : warm) EXPECT_TRUE(torch::equal(found.permutations.at(id), pi)) << id;
}

TEST(MatchSinkhorn, LowersTheLossAtTheMidpointDeterministically) {
  Pair pair({.name = "mlp", .norm = models::Norm::kBatch, .hidden = {24, 16}});
  const TrainingBatches same{40, [](int64_t) {
                               return LabelledBatch{RandomTensor({32, 3, 8, 8}, 1), torch::arange(32) % 10};
                             }};
  const auto run = [&] { return MatchSinkhorn(*pair.network, pair.a, pair.b, {}, same); };
  const SinkhornMatching first = run(), second = run();
  EXPECT_EQ(first.hard, second.hard);
  EXPECT_EQ(first.soft, second.soft);
  EXPECT_LT(first.hard[first.best_step], first.hard[0]);
  EXPECT_LT(first.soft.back(), first.soft[0]);
}

}  // namespace
}  // namespace basin::merge
