#include "merge/straight_through.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "base/error.h"
#include "merge/midpoint.h"
#include "tests/support/permuted.h"

namespace basin::merge {
namespace {

using tests::RandomTensor;
using tests::RoughModel;

const models::InputShape kImage{3, 16, 16};

TrainingBatches Batches(int64_t steps) {
  return {steps, [](int64_t step) {
            const auto seed = static_cast<uint64_t>(step);
            return LabelledBatch{RandomTensor({8, 3, 16, 16}, seed), (RandomTensor({8}, seed + 100).abs() * 3).to(torch::kInt64).clamp(0, 9)};
          }};
}

struct Pair {
  explicit Pair(const models::ModelOptions& options)
      : scratch(RoughModel(options, kImage, 9)), spec(scratch->symmetry()), a(models::CloneState(models::StateOf(*RoughModel(options, kImage, 1)))),
        b(models::CloneState(models::StateOf(*RoughModel(options, kImage, 500)))) {}
  std::shared_ptr<models::Classifier> scratch;
  models::PermutationSpec spec;
  models::StateDict a, b;
};

TEST(LossAtMidpoint, HasTheGradientOfFiniteDifferences) {
  Pair pair({.name = "mlp", .norm = models::Norm::kNone, .hidden = {8, 6}});
  const LabelledBatch batch = Batches(1).at(0);
  const MidpointLoss found = LossAtMidpoint(*pair.scratch, pair.a, pair.b, batch);
  // Along the gradient of the last bias, where the loss is smooth: float32 losses of about 2 at +-0.01.
  const auto moved = [&](double by) {
    models::StateDict there = models::CloneState(pair.a);
    for (auto& item : there) {
      if (item.name == "layers.2.bias") item.tensor.add_(found.gradient.at(item.name), 2 * by);  // the midpoint moves by half
    }
    return LossAtMidpoint(*pair.scratch, there, pair.b, batch).loss;
  };
  const double squared = found.gradient.at("layers.2.bias").square().sum().item<double>();
  EXPECT_NEAR((moved(0.05) - moved(-0.05)) / 0.1, squared, 0.01 * squared);
}

TEST(StraightThrough, IsDeterministicAndKeepsTheBestStep) {
  for (const models::ModelOptions& options : {models::ModelOptions{.name = "convnet", .width = 0.25},
                                              models::ModelOptions{.name = "mlp", .norm = models::Norm::kLayer, .hidden = {16, 12}}}) {
    Pair pair(options);
    const auto run = [&] { return MatchStraightThrough(*pair.scratch, pair.a, pair.b, Batches(6), {.lr = 0.5, .seed = 3}); };
    const StraightThrough first = run(), second = run();
    EXPECT_EQ(first.losses, second.losses);
    ASSERT_EQ(first.losses.size(), 6u);
    EXPECT_EQ(first.losses[first.best_step], *std::min_element(first.losses.begin(), first.losses.end()));
    const models::StateDict fitted = models::ApplyPermutations(pair.spec, first.permutations, pair.b);
    EXPECT_EQ(LossAtMidpoint(*pair.scratch, pair.a, fitted, Batches(6).at(first.best_step)).loss, first.losses[first.best_step]);
  }
}

TEST(StraightThrough, BeginsWithWeightMatching) {
  Pair pair({.name = "mlp", .norm = models::Norm::kNone, .hidden = {16, 12}});
  const StraightThrough found = MatchStraightThrough(*pair.scratch, pair.a, pair.b, Batches(1), {.seed = 3});
  const Matching weights = MatchWeights(pair.spec, pair.a, pair.b, {.seed = 3});
  for (const auto& [id, pi] : weights.permutations) EXPECT_TRUE(torch::equal(found.permutations.at(id), pi)) << id;
}

TEST(StraightThrough, PutsAShuffledNetworkBackInOrder) {
  Pair pair({.name = "resnet20", .width = 0.25});
  const auto shuffled = models::ApplyPermutations(pair.spec, tests::RandomPermutations(pair.spec, pair.a, 5), pair.a);
  const StraightThrough found = MatchStraightThrough(*pair.scratch, pair.a, shuffled, Batches(2));
  EXPECT_TRUE(tests::SameBits(models::ApplyPermutations(pair.spec, found.permutations, shuffled), pair.a));
}

TEST(StraightThrough, LowersTheLossOfABatchSeenAgain) {
  Pair pair({.name = "mlp", .norm = models::Norm::kNone, .hidden = {32, 24}});
  const TrainingBatches same{40, [](int64_t) { return Batches(1).at(0); }};
  const StraightThrough found = MatchStraightThrough(*pair.scratch, pair.a, pair.b, same, {.lr = 1});
  EXPECT_LT(found.losses[found.best_step], found.losses[0]);
  EXPECT_GT(found.best_step, 0);
}

TEST(StraightThrough, RefusesNoStepsAndImagesThatAreNotFinite) {
  Pair pair({.name = "mlp", .norm = models::Norm::kNone, .hidden = {8}});
  EXPECT_THROW(MatchStraightThrough(*pair.scratch, pair.a, pair.b, Batches(0)), CheckFailed);
  const TrainingBatches damaged{1, [](int64_t) {
                                  LabelledBatch batch = Batches(1).at(0);
                                  batch.images.fill_(std::numeric_limits<float>::quiet_NaN());
                                  return batch;
                                }};
  EXPECT_THROW(MatchStraightThrough(*pair.scratch, pair.a, pair.b, damaged), DataError);
}

}  // namespace
}  // namespace basin::merge
