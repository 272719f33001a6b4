#include "merge/collapse.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "tests/merge/trial.h"

namespace basin::merge {
namespace {

using namespace trial;
using models::Norm;

/// Every number of one hidden layer of an MLP, from its definition.
TEST(MeasureActivity, OfAnMlpIsWhatTheDefinitionsSay) {
  const auto model = Mlp(0);
  const auto batches = Batches(3, 20);
  const Activity found = MeasureActivity(*model, batches);
  ASSERT_EQ(found.layers.size(), 4U);  // the classifier too
  ASSERT_EQ(found.relus.size(), 3U);
  const torch::NoGradGuard no_grad;
  std::vector<torch::Tensor> all;
  batches([&](const torch::Tensor& images) { all.push_back(images); });
  const auto layers = models::HookedLayers(*model);
  torch::Tensor x = torch::cat(all).flatten(1).to(torch::kFloat64), zero = torch::zeros({1, 16}, torch::kFloat64);
  for (size_t i = 0; i < 4; ++i) {
    const torch::Tensor weight = layers[i].weight.to(torch::kFloat64), bias = layers[i].bias.to(torch::kFloat64);
    x = torch::linear(x, weight, bias), zero = torch::linear(zero, weight, bias);
    // The network computes in float32.
    EXPECT_EQ(found.layers[i].name, "layers." + std::to_string(i));
    EXPECT_NEAR(found.layers[i].variance / x.var(0).mean().item<double>(), 1, 1e-5);
    const double feature = ((x - zero).norm(2, 1).mean() / std::sqrt(static_cast<double>(x.size(1)))).item<double>();
    EXPECT_NEAR(found.layers[i].feature / feature, 1, 1e-5);
    EXPECT_NEAR(found.layers[i].weight / weight.abs().mean().item<double>(), 1, 1e-6);
    EXPECT_NEAR(found.layers[i].bias / bias.abs().mean().item<double>(), 1, 1e-6);
    x = x.relu(), zero = zero.relu();
    if (i == 3) continue;
    EXPECT_EQ(found.relus[i].after, found.layers[i].name);
    EXPECT_NEAR(found.relus[i].magnitude / x.mean().item<double>(), 1, 1e-5);
    EXPECT_NEAR(found.relus[i].sparsity, (x == 0).to(torch::kFloat64).mean().item<double>(), 1e-3);  // a value at the edge of 0
    EXPECT_TRUE(std::isnan(found.relus[i].spread));
  }
}

TEST(MeasureActivity, SeesEveryReluOfAResidualNetworkWithItsRunningStatistics) {
  const auto model = Residual(0, Norm::kBatch);
  const auto batches = Batches(2, 8, {3, 16, 16});
  const auto before = models::CloneState(models::StateOf(*model));
  const Activity found = MeasureActivity(*model, batches);
  ASSERT_EQ(found.relus.size(), 19U);  // the stem and two in each of nine blocks
  EXPECT_EQ(found.relus[0].after, "conv1");
  EXPECT_EQ(found.relus[2].after, "layer1.0.conv2");
  for (const auto& relu : found.relus) {
    EXPECT_GT(relu.magnitude, 0);
    EXPECT_GT(relu.spread, 0);
    EXPECT_TRUE(relu.sparsity >= 0 && relu.sparsity < 1);
  }
  const auto after = models::StateOf(*model);
  for (size_t i = 0; i < before.size(); ++i) EXPECT_TRUE(torch::equal(before[i].tensor, after[i].tensor)) << before[i].name;
  for (const auto& layer : models::HookedLayers(*model)) EXPECT_FALSE(*layer.hook);
}

TEST(MeasureActivity, SpreadIsTheMeanStandardDeviationOverPixels) {
  const auto model = Residual(0, Norm::kNone);
  const auto batches = Batches(1, 4, {3, 16, 16});
  const auto layer = models::HookedLayers(*model)[0];
  const torch::NoGradGuard no_grad;
  const torch::Tensor y = torch::conv2d(FirstOf(batches), layer.weight, layer.bias, 1, 1).relu();
  const Activity found = MeasureActivity(*model, batches);
  EXPECT_NEAR(found.relus[0].spread / y.to(torch::kFloat64).std({2, 3}, false).mean().item<double>(), 1, 1e-5);
}

TEST(MeasureActivity, AZeroNetworkIsAllZeros) {
  const auto model = Mlp(0);
  const torch::NoGradGuard no_grad;
  for (auto& parameter : model->parameters()) parameter.zero_();
  const Activity found = MeasureActivity(*model, Batches(1, 5));
  EXPECT_EQ(found.relus[1].sparsity, 1);
  EXPECT_EQ(found.relus[1].magnitude, 0);
  EXPECT_EQ(found.layers[2].feature, 0);
  EXPECT_EQ(found.layers[2].variance, 0);
}

TEST(MeasureActivity, AFeatureDoesNotSeeABiasThatEveryImageShares) {
  const auto model = Mlp(0);
  const auto batches = Batches(1, 10);
  const double before = MeasureActivity(*model, batches).layers[0].feature;
  const torch::NoGradGuard no_grad;
  models::HookedLayers(*model)[0].bias.add_(8);
  EXPECT_NEAR(MeasureActivity(*model, batches).layers[0].feature / before, 1, 1e-5);  // float32 about 8
}

TEST(RatioToParents, DividesByTheWeightedMeanOfTheParents) {
  const std::vector<std::vector<double>> parents{{1, 2, 0}, {3, 2, 0}};
  const auto half = RatioToParents(std::vector{1.0, 1.0, 1.0}, parents);
  EXPECT_EQ(half[0], 0.5);
  EXPECT_EQ(half[1], 0.5);
  EXPECT_TRUE(std::isnan(half[2]));
  EXPECT_EQ(RatioToParents(std::vector{1.0, 1.0, 1.0}, parents, std::vector{0.75, 0.25})[0], 1 / 1.5);
}

TEST(RatioToParents, OfAnAverageOfIndependentNetworksFallsWithDepth) {
  // The sign of collapse that arXiv 2211.08403 measures: about 1/2 in the first layer, less in each further one.
  const auto a = Mlp(0), b = Mlp(1), merged = Mlp(2);
  LoadBetween(*merged, *a, *b);
  const auto batches = Batches(1, 500);
  const auto variances = [&](models::Classifier& model) {
    std::vector<double> values;
    for (const auto& layer : MeasureActivity(model, batches).layers) values.push_back(layer.variance);
    return values;
  };
  const auto ratio = RatioToParents(variances(*merged), std::vector{variances(*a), variances(*b)});
  EXPECT_NEAR(ratio[0], 0.5, 0.1);
  for (size_t i = 1; i < ratio.size(); ++i) EXPECT_LT(ratio[i], ratio[i - 1]);
}

}  // namespace
}  // namespace basin::merge
