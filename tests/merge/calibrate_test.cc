#include "merge/calibrate.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "models/layers.h"
#include "tests/merge/trial.h"

namespace basin::merge {
namespace {

using namespace trial;
using models::Norm;

TEST(CalibrateBiases, WeighsTheBiasAtDepthHByTheHthPowerOfLambda) {
  const auto a = Mlp(0), b = Mlp(1), merged = Mlp(2);
  const double lambda = 0.25;
  LoadBetween(*merged, *a, *b, lambda);
  const auto weights = models::CloneState(models::StateOf(*merged));
  CalibrateBiases(*merged, std::vector{models::StateOf(*a), models::StateOf(*b)}, std::vector{1 - lambda, lambda});
  const auto layers = models::HookedLayers(*merged), of_a = models::HookedLayers(*a), of_b = models::HookedLayers(*b);
  for (size_t i = 0; i < layers.size(); ++i) {
    const double h = static_cast<double>(i) + 1;
    const torch::Tensor wished = std::pow(0.75, h) * of_a[i].bias.to(torch::kFloat64) + std::pow(0.25, h) * of_b[i].bias.to(torch::kFloat64);
    EXPECT_TRUE(torch::allclose(layers[i].bias.to(torch::kFloat64), wished, 1e-6, 1e-9)) << "layer " << i;  // rounded to float32
    EXPECT_TRUE(torch::equal(layers[i].weight, *models::FindTensor(weights, layers[i].name + ".weight")));
  }
}

TEST(CalibrateBiases, MakesAHalvedNetworkScaleItsLogitsByTheDepth) {
  // Parents theta and 0: the merge at 1/2 has W/2 everywhere; with b_h 2^-h the whole network is homogeneous, f / 2^4.
  const auto model = Mlp(0), zero = Mlp(0), merged = Mlp(1);
  const torch::NoGradGuard no_grad;
  for (auto& parameter : zero->parameters()) parameter.zero_();
  LoadBetween(*merged, *model, *zero);
  CalibrateBiases(*merged, std::vector{models::StateOf(*model), models::StateOf(*zero)});
  const torch::Tensor images = FirstOf(Batches(1, 20));
  // Powers of two: exact in every product, sums included.
  EXPECT_TRUE(torch::equal(16 * LogitsOf(*merged, images), LogitsOf(*model, images)));
}

TEST(CalibrateBiases, RefusesNormsAndResidualConnections) {
  const auto refuse = [](std::shared_ptr<models::Classifier> model, const std::string& why) {
    try {
      CalibrateBiases(*model, std::vector<models::StateDict>{models::StateOf(*model)});
      FAIL() << "accepted: " << why;
    } catch (const ConfigError& error) {
      EXPECT_NE(std::string(error.what()).find(why), std::string::npos) << error.what();
    }
  };
  refuse(Mlp(0, Norm::kBatch), "norm layers");
  refuse(Residual(0, Norm::kNone), "residual");
  refuse(Residual(0, Norm::kLayer), "no bias");
}

TEST(RemoveLastBiases, ZeroesTheLastAndKeepsTheFirst) {
  const auto model = Mlp(0);
  RemoveLastBiases(*model, 2);
  const auto layers = models::HookedLayers(*model);
  for (size_t i = 0; i < 4; ++i) EXPECT_EQ(layers[i].bias.count_nonzero().item<int64_t>() == 0, i >= 2) << "layer " << i;
}

TEST(FindTemperature, FindsTheTemperatureThatCalibratedLogitsWereMultipliedBy) {
  // Labels drawn from softmax(z): the best temperature of c z tends to c. 20 000 samples: about 1 %.
  base::Stream stream({.run_seed = 3});
  const torch::Tensor logits = 2 * test::NormalTensor({20000, 5}, stream);
  const torch::Tensor cumulative = logits.softmax(1).cumsum(1);
  std::vector<int64_t> labels;
  for (int64_t i = 0; i < 20000; ++i) labels.push_back((cumulative[i] < stream.NextDouble()).sum().clamp_max(4).item<int64_t>());
  const double alone = FindTemperature(logits, torch::tensor(labels));
  EXPECT_NEAR(alone, 1, 0.03);
  // The same optimum, only scaled.
  EXPECT_NEAR(FindTemperature(0.05 * logits, torch::tensor(labels)) / alone, 0.05, 1e-10);
}

TEST(FindTemperature, IsTheMinimumOfTheLoss) {
  base::Stream stream({.run_seed = 4});
  const torch::Tensor labels = torch::arange(50).remainder(3);
  const torch::Tensor logits = test::NormalTensor({50, 3}, stream) + 2 * torch::one_hot(labels, 3);
  const auto loss = [&](double temperature) { return torch::nll_loss((logits / temperature).log_softmax(1), labels).item<double>(); };
  const double best = FindTemperature(logits, labels);
  for (const double other : {0.9, 0.99, 1.01, 1.1}) EXPECT_GT(loss(best * other), loss(best));
}

TEST(FindTemperature, StaysInItsBoundsWhenEverySampleIsRight) {
  // The colder the better, until no double tells the loss from 0.
  const double found = FindTemperature(torch::eye(3), torch::arange(3));
  EXPECT_TRUE(found >= 1e-3 && found < 0.05) << found;
  EXPECT_NEAR(FindTemperature(-torch::eye(3), torch::arange(3)), 1e3, 1e-6);  // always wrong: the warmer the better
}

TEST(ApplyTemperature, DividesTheLogits) {
  const auto model = Mlp(0);
  const torch::Tensor images = FirstOf(Batches(1, 10)), before = LogitsOf(*model, images);
  ApplyTemperature(*model, 0.25);
  EXPECT_TRUE(torch::equal(LogitsOf(*model, images), 4 * before));  // a power of two
}

}  // namespace
}  // namespace basin::merge
