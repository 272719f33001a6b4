#include "merge/singular.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "tests/merge/trial.h"

namespace basin::merge {
namespace {

using namespace trial;

torch::Tensor RandomMatrix(std::vector<int64_t> shape, uint64_t seed) {
  base::Stream stream({.run_seed = seed});
  return test::NormalTensor(shape, stream);
}

models::StateDict OneLayer(const torch::Tensor& weight) { return {{"layer.weight", weight}, {"layer.bias", torch::ones({weight.size(0)})}}; }

/// The double sum of the definition, pair by pair.
double DoubleSum(const Decomposition& a, const Decomposition& b, double gamma) {
  double sum = 0;
  for (int64_t i = 0; i < a.s.numel(); ++i) {
    for (int64_t j = 0; j < b.s.numel(); ++j) {
      if (a.s[i].item<double>() < gamma * a.s[0].item<double>() || b.s[j].item<double>() < gamma * b.s[0].item<double>()) continue;
      sum += a.u.select(1, i).dot(b.u.select(1, j)).item<double>() * a.v.select(1, i).dot(b.v.select(1, j)).item<double>();
    }
  }
  return sum;
}

TEST(Singular, DecompositionRebuildsTheMatrixWithValuesInOrder) {
  const torch::Tensor weight = RandomMatrix({7, 4}, 1);
  const Decomposition found = Decompose(OneLayer(weight), "layer.weight");
  EXPECT_EQ(found.name, "layer");
  EXPECT_TRUE(torch::allclose(found.u.matmul(found.s.diag()).matmul(found.v.t()), weight, 0, 1e-12));
  EXPECT_TRUE((found.s.diff() <= 0).all().item<bool>());
  // The squares of the singular values are the eigenvalues of W^T W.
  EXPECT_TRUE(torch::allclose(found.s.square().flip(0), torch::linalg_eigvalsh(weight.t().matmul(weight)), 1e-10));
}

TEST(Singular, AConvolutionIsOutByInTimesKernel) {
  const torch::Tensor weight = RandomMatrix({5, 3, 3, 3}, 2);
  const Decomposition found = Decompose(OneLayer(weight), "layer.weight");
  EXPECT_EQ(found.u.sizes(), (std::vector<int64_t>{5, 5}));
  EXPECT_EQ(found.v.sizes(), (std::vector<int64_t>{27, 5}));
  EXPECT_TRUE(torch::allclose(found.s, torch::linalg_svdvals(weight.reshape({5, 27}))));
}

TEST(Singular, OnlyWeightMatricesCount) {
  EXPECT_EQ(WeightMatrices(models::StateOf(*Mlp(0, models::Norm::kBatch))),
            (std::vector<std::string>{"layers.0.weight", "layers.1.weight", "layers.2.weight", "layers.3.weight"}));
}

TEST(Alignment, ThePolarFormIsTheDoubleSumOfTheDefinition) {
  for (const double gamma : {0.0, 0.3, 0.6}) {
    const auto a = Decompose(OneLayer(RandomMatrix({6, 9}, 3)), "layer.weight"), b = Decompose(OneLayer(RandomMatrix({6, 9}, 4)), "layer.weight");
    EXPECT_NEAR(AlignLayer(a, b, gamma).sum, DoubleSum(a, b, gamma), 1e-12) << gamma;
  }
}

TEST(Alignment, WithItselfIsOneAndWithItsNegativeMinusOne) {
  const models::StateDict state = models::StateOf(*Mlp(0));
  const auto layers = DecomposeAll(state);
  models::StateDict negative = models::CloneState(state);
  for (auto& item : negative) item.tensor = -item.tensor;
  for (const double gamma : {0.0, 0.3}) {
    EXPECT_NEAR(MeasureAlignment(layers, layers, gamma).value, 1, 1e-12);
    EXPECT_NEAR(MeasureAlignment(layers, DecomposeAll(negative), gamma).value, -1, 1e-12);
  }
}

TEST(Alignment, OfUnrelatedNetworksIsNearZeroAndOfAPermutedOneComesBack) {
  const auto a = Mlp(0), b = Mlp(1);
  // 16..64 directions: a sum of about 64 products of std 1/64 over 64 values.
  EXPECT_LT(std::abs(MeasureAlignment(DecomposeAll(models::StateOf(*a)), DecomposeAll(models::StateOf(*b)), 0).value), 0.1);
  const auto spec = a->symmetry();
  models::Permutations there, back;
  for (const auto& [id, size] : models::ValidateSpec(spec, models::StateOf(*a))) {
    there[id] = torch::tensor(base::RandomPermutation(size, {.run_seed = 9}));
    back[id] = there[id].argsort();
  }
  const auto permuted = models::ApplyPermutations(spec, there, models::StateOf(*a));
  const auto own = DecomposeAll(models::StateOf(*a));
  EXPECT_LT(MeasureAlignment(own, DecomposeAll(permuted), 0).value, 0.3);
  EXPECT_NEAR(MeasureAlignment(own, DecomposeAll(models::ApplyPermutations(spec, back, permuted)), 0).value, 1, 1e-9);
}

TEST(Alignment, DividesByTheSmallerCountOfEachLayer) {
  // Same directions, other values: a keeps 3 of 4 above .3 of the largest, b keeps 2.
  const torch::Tensor q = std::get<0>(torch::linalg_qr(RandomMatrix({4, 4}, 5)));
  const auto with = [&](std::vector<double> s) {
    return Decompose(OneLayer(q.matmul(torch::tensor(s, torch::kFloat64).diag())), "layer.weight");
  };
  const auto found = AlignLayer(with({4, 3, 2, 0.1}), with({4, 3, 0.2, 0.1}), 0.3);
  EXPECT_EQ(found.counted, 2);
  EXPECT_NEAR(found.sum, 2, 1e-12);
}

TEST(Alignment, ZeroSingularValuesDoNotCount) {
  torch::Tensor weight = RandomMatrix({6, 6}, 6);
  weight[2].zero_();
  const auto layer = Decompose(OneLayer(weight), "layer.weight");
  EXPECT_EQ(AlignLayer(layer, layer, 0).counted, 5);
  EXPECT_NEAR(AlignLayer(layer, layer, 0).sum, 5, 1e-12);
  const auto zero = Decompose(OneLayer(torch::zeros({6, 6})), "layer.weight");
  EXPECT_EQ(MeasureAlignment({zero}, {zero}, 0).value, 0);
}

TEST(Alignment, RefusesLayersOfOtherShapes) {
  const auto a = Decompose(OneLayer(RandomMatrix({4, 4}, 1)), "layer.weight"), b = Decompose(OneLayer(RandomMatrix({4, 5}, 1)), "layer.weight");
  EXPECT_THROW(AlignLayer(a, b, 0), DataError);
  EXPECT_THROW(MeasureAlignment({a, a}, {a}, 0), DataError);
}

}  // namespace
}  // namespace basin::merge
