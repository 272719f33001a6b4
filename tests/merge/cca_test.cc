#include "merge/cca.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "tests/support/given_units.h"
#include "tests/support/permuted.h"

namespace basin::merge {
namespace {

using tests::RandomTensor;
using tests::RelativeDifference;
using tests::RoughModel;
constexpr auto kFull = PairStatistics::Within::kFull;

/// x, y [samples, units] float32.
PairStatistics MeasureGiven(const torch::Tensor& x, const torch::Tensor& y) {
  const auto first = std::make_shared<tests::GivenUnits>(x.size(1)), second = std::make_shared<tests::GivenUnits>(y.size(1));
  second->first_column = x.size(1);
  const torch::Tensor images = torch::cat({x, y}, 1).view({x.size(0), 1, 1, -1});
  return MeasurePair(*first, *second, {1, [&](int64_t) { return images; }}, {.before_nonlinearity = true, .within = kFull});
}

TEST(CcaMap, RecoversAnInvertibleMixture) {
  const torch::Tensor x = RandomTensor({2000, 6}, 1) + 3;
  const torch::Tensor mixture = torch::eye(6) * 2 + RandomTensor({6, 6}, 2) / 3;
  const torch::Tensor y = x.mm(mixture);
  const LinearMap found = CcaMap(MeasureGiven(x, y), "P", /*ridge=*/0);
  // Activations and products are float32.
  EXPECT_LT(RelativeDifference(found.inverse, mixture), 1e-4);
  EXPECT_LT(RelativeDifference(y.to(torch::kFloat64).mm(found.map), x), 1e-4);
  EXPECT_LT((found.map.mm(found.inverse) - torch::eye(6, torch::kFloat64)).abs().max().item<double>(), 1e-12);
}

TEST(CcaMap, IsInvertibleWithARidgeWhenUnitsAreDead) {
  torch::Tensor x = RandomTensor({100, 4}, 1), y = RandomTensor({100, 4}, 2);
  y.select(1, 2).fill_(0);
  EXPECT_THROW(CcaMap(MeasureGiven(x, y), "P", 0), DataError);
  const LinearMap found = CcaMap(MeasureGiven(x, y), "P", 1e-3);
  EXPECT_TRUE(found.map.isfinite().all().item<bool>());
  EXPECT_LT((found.map.mm(found.inverse) - torch::eye(4, torch::kFloat64)).abs().max().item<double>(), 1e-9);
}

TEST(CcaMap, NeedsFullStatistics) {
  EXPECT_THROW(CcaMap(PairStatistics({{"P", 2}}, PairStatistics::Within::kDiagonal), "P"), CheckFailed);
}

TEST(ApplyMaps, WithPermutationsDoesWhatApplyPermutationsDoes) {
  const auto model = RoughModel({.name = "resnet20", .width = 0.25}, {3, 8, 8}, 1);
  const models::StateDict state = models::StateOf(*model);
  const auto permutations = tests::RandomPermutations(model->symmetry(), state, 1);
  std::map<std::string, LinearMap> maps;
  for (const auto& [id, pi] : permutations) {
    const torch::Tensor map = torch::eye(pi.numel(), torch::kFloat64).index_select(1, pi);
    maps[id] = {map, map.t().contiguous()};
  }
  EXPECT_TRUE(tests::SameBits(ApplyMaps(model->symmetry(), maps, state), models::ApplyPermutations(model->symmetry(), permutations, state)));
}

TEST(CcaMaps, PutAShuffledNetworkBackInOrder) {
  const models::ModelOptions options{.name = "mlp", .norm = models::Norm::kNone, .hidden = {12, 10}};
  const models::InputShape image{3, 8, 8};
  const auto a = RoughModel(options, image, 1), b = RoughModel(options, image, 2);
  const models::PermutationSpec spec = a->symmetry();
  const models::StateDict state = models::CloneState(models::StateOf(*a));
  models::LoadState(*b, models::ApplyPermutations(spec, tests::RandomPermutations(spec, state, 3), state));
  const ImageBatches batches{2, [](int64_t k) { return RandomTensor({500, 3, 8, 8}, static_cast<uint64_t>(k)); }};
  const PairStatistics statistics = MeasurePair(*a, *b, batches, {.within = kFull});
  const models::StateDict back = ApplyMaps(spec, CcaMaps(statistics, 1e-6), models::StateOf(*b));
  for (size_t t = 0; t < back.size(); ++t) {
    EXPECT_LT(RelativeDifference(back[t].tensor, state[t].tensor), 1e-4) << state[t].name;  // float32 products, whitened
  }
}

}  // namespace
}  // namespace basin::merge
