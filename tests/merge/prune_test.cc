#include "merge/prune.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "base/error.h"
#include "merge/renormalise.h"
#include "tests/merge/trial.h"

namespace basin::merge {
namespace {

using namespace trial;
using models::Norm;

int64_t Zeros(const std::vector<PrunedLayer>& layers) {
  return std::accumulate(layers.begin(), layers.end(), int64_t{0}, [](int64_t sum, const auto& layer) { return sum + layer.zeros; });
}

TEST(Prune, GlobalKeepsExactlyTheLargestOfAllMatrices) {
  for (const double sparsity : {0.1, 0.5, 0.9, 0.987}) {
    const auto model = Mlp(0);
    const auto before = models::CloneState(models::StateOf(*model));
    std::vector<float> magnitudes;
    for (const auto& item : before) {
      if (item.tensor.dim() < 2) continue;
      const torch::Tensor flat = item.tensor.abs().flatten();
      magnitudes.insert(magnitudes.end(), flat.const_data_ptr<float>(), flat.const_data_ptr<float>() + flat.numel());
    }
    std::sort(magnitudes.begin(), magnitudes.end());
    const auto count = std::llround(sparsity * static_cast<double>(magnitudes.size()));
    const float threshold = magnitudes[count];  // the smallest that stays
    const auto layers = PruneByMagnitude(models::StateOf(*model), sparsity, PruneScope::kGlobal);
    EXPECT_EQ(Zeros(layers), count);
    const auto after = models::StateOf(*model);
    for (size_t i = 0; i < before.size(); ++i) {
      const torch::Tensor stays = before[i].tensor.abs() >= threshold;
      const torch::Tensor wished = before[i].tensor.dim() < 2 ? before[i].tensor : before[i].tensor * stays;
      EXPECT_TRUE(torch::equal(after[i].tensor, wished)) << before[i].name;
    }
  }
}

TEST(Prune, ByLayerTakesTheSameShareOfEach) {
  const auto model = Residual(0, Norm::kBatch);
  for (const auto& layer : PruneByMagnitude(models::StateOf(*model), 0.7, PruneScope::kLayer)) {
    EXPECT_EQ(layer.zeros, std::llround(0.7 * static_cast<double>(layer.elements))) << layer.name;
  }
}

TEST(Prune, NormsAndBiasesStay) {
  const auto model = Mlp(0, Norm::kBatch);
  const auto before = models::CloneState(models::StateOf(*model));
  PruneByMagnitude(models::StateOf(*model), 1, PruneScope::kGlobal);
  const auto after = models::StateOf(*model);
  for (size_t i = 0; i < before.size(); ++i) {
    if (before[i].tensor.dim() >= 2) {
      EXPECT_EQ(after[i].tensor.count_nonzero().item<int64_t>(), 0) << before[i].name;
    } else {
      EXPECT_TRUE(torch::equal(before[i].tensor, after[i].tensor)) << before[i].name;
    }
  }
}

TEST(Prune, OfEqualMagnitudesTheEarlierGoFirst) {
  const models::StateDict state{{"a.weight", torch::tensor({{1.F, -1.F}, {1.F, 2.F}})}, {"b.weight", torch::tensor({{-1.F, 0.5F}})}};
  const auto layers = PruneByMagnitude(state, 0.5, PruneScope::kGlobal);  // three of six: 0.5, then two of the four ones
  EXPECT_TRUE(torch::equal(state[0].tensor, torch::tensor({{0.F, 0.F}, {1.F, 2.F}})));
  EXPECT_TRUE(torch::equal(state[1].tensor, torch::tensor({{-1.F, 0.F}})));
  EXPECT_EQ(layers[0].zeros, 2);
  EXPECT_EQ(layers[1].zeros, 1);
}

TEST(Prune, NothingAtZeroAndAnErrorOutsideZeroToOne) {
  const auto model = Mlp(0);
  const auto before = models::CloneState(models::StateOf(*model));
  EXPECT_EQ(Zeros(PruneByMagnitude(models::StateOf(*model), 0, PruneScope::kGlobal)), 0);
  for (size_t i = 0; i < before.size(); ++i) EXPECT_TRUE(torch::equal(before[i].tensor, models::StateOf(*model)[i].tensor));
  EXPECT_THROW(PruneByMagnitude(before, 1.01, PruneScope::kGlobal), ConfigError);
  EXPECT_THROW(PruneByMagnitude(before, -0.1, PruneScope::kLayer), ConfigError);
}

TEST(Prune, EveryCorrectionWithTheDenseNetworkAsTargetKeepsTheZerosAndMendsTheDeviations) {
  const auto batches = Batches(2, 64);
  for (const Correction correction : {Correction::kRepair, Correction::kRescale}) {
    const auto model = Mlp(0, Norm::kLayer);
    const auto dense = MeasureActivations(*model, batches, Pooling::kAllValues);
    const auto layers = PruneByMagnitude(models::StateOf(*model), 0.8, PruneScope::kGlobal);
    const auto pruned = MeasureActivations(*model, batches, Pooling::kAllValues);
    Renormalise(*model, dense, batches, {.correction = correction, .sequential = true});
    const auto mended = MeasureActivations(*model, batches, Pooling::kAllValues);
    for (size_t i = 0; i < 3; ++i) {
      EXPECT_GT(RelativeError(pruned.std[i], dense.std[i]), 0.05);
      // eps takes 5e-6 target variance / own variance.
      EXPECT_LT(RelativeError(mended.std[i], dense.std[i]), 1e-3) << "layer " << i;
    }
    int64_t zeros = 0;
    for (const auto& item : models::StateOf(*model)) {
      if (item.tensor.dim() >= 2) zeros += item.tensor.numel() - item.tensor.count_nonzero().item<int64_t>();
    }
    EXPECT_EQ(zeros, Zeros(layers));
  }
}

}  // namespace
}  // namespace basin::merge
