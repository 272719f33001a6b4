#include "merge/closed_form.h"

#include <gtest/gtest.h>

#include "models/layers.h"
#include "tests/merge/trial.h"

namespace basin::merge {
namespace {

using namespace trial;

TEST(MatchedCorrelation, IsThePearsonCorrelationOfAllValuesOfBothNetworks) {
  const auto a = Mlp(0), b = Mlp(1);
  const auto batches = Batches(3, 40);
  const MatchedCorrelation found = MeasureMatchedCorrelation(*a, *b, batches);
  ASSERT_EQ(found.layers.size(), 3U);
  std::vector<torch::Tensor> x, y;
  const torch::NoGradGuard no_grad;
  batches([&](const torch::Tensor& images) {
    for (auto [model, values] : {std::pair{a, &x}, std::pair{b, &y}}) {
      const auto layer = models::HookedLayers(*model)[0];
      values->push_back(torch::linear(images.flatten(1), layer.weight, layer.bias).to(torch::kFloat64));
    }
  });
  const torch::Tensor u = torch::cat(x), v = torch::cat(y);
  for (int64_t c = 0; c < 64; ++c) {
    // float32 outputs, unit variance: 1e-6.
    EXPECT_NEAR(found.layers[0][c].item<double>(), torch::corrcoef(torch::stack({u.select(1, c), v.select(1, c)}))[0][1].item<double>(), 1e-6);
  }
}

TEST(MatchedCorrelation, OfANetworkWithItselfIsOneAndOfADeadUnitZero) {
  const auto model = Mlp(0), same = Mlp(0);
  {
    const torch::NoGradGuard no_grad;
    models::HookedLayers(*same)[0].weight[3].zero_();
  }
  const auto found = MeasureMatchedCorrelation(*model, *same, Batches(2, 20));
  EXPECT_NEAR(found.layers[0][0].item<double>(), 1, 1e-12);
  EXPECT_EQ(found.layers[0][3].item<double>(), 0);
}

TEST(PredictMerged, IsExactInTheFirstLayerAtAnyLambda) {
  const auto a = Mlp(0), b = Mlp(1), merged = Mlp(2);
  const auto batches = Batches(2, 60);
  const std::vector parents{MeasureActivations(*a, batches, Pooling::kAllValues), MeasureActivations(*b, batches, Pooling::kAllValues)};
  const std::vector correlations{[&] {
    auto pair = MeasureMatchedCorrelation(*a, *b, batches);
    pair.b = 1;
    return pair;
  }()};
  for (const double lambda : {0.5, 0.2}) {
    LoadBetween(*merged, *a, *b, lambda);
    const auto found = MeasureActivations(*merged, batches, Pooling::kAllValues);
    const auto predicted = PredictMerged(parents, std::vector{1 - lambda, lambda}, correlations);
    // float32 outputs.
    EXPECT_LT(RelativeError(predicted.std[0], found.std[0]), 1e-5);
    EXPECT_LT(RelativeError(predicted.mean[0], found.mean[0]), 1e-5);
  }
}

TEST(PredictMerged, OfThreeNetworksAddsEveryPair) {
  const auto batches = Batches(2, 60);
  const std::vector<double> weights{0.5, 0.3, 0.2};
  std::vector<std::shared_ptr<models::Classifier>> models{Mlp(0), Mlp(1), Mlp(2)};
  std::vector<ActivationStatistics> parents;
  std::vector<models::StateDict> states;
  for (const auto& model : models) {
    parents.push_back(MeasureActivations(*model, batches, Pooling::kAllValues));
    states.push_back(models::StateOf(*model));
  }
  std::vector<MatchedCorrelation> correlations;
  for (size_t i = 0; i < 3; ++i) {
    for (size_t j = i + 1; j < 3; ++j) {
      correlations.push_back(MeasureMatchedCorrelation(*models[i], *models[j], batches));
      correlations.back().a = i;
      correlations.back().b = j;
    }
  }
  const auto merged = Mlp(3);
  models::LoadState(*merged, AverageStates(states, {.weights = weights}));
  EXPECT_LT(RelativeError(PredictMerged(parents, weights, correlations).std[0], MeasureActivations(*merged, batches, Pooling::kAllValues).std[0]), 1e-5);
}

TEST(RenormaliseFrom, TheClosedFormMendsTheFirstLayerExactlyAndTheOthersNearly) {
  const auto a = Mlp(0), b = Mlp(1), merged = Mlp(2);
  const auto batches = Batches(2, 200);
  LoadBetween(*merged, *a, *b);
  const std::vector parents{MeasureActivations(*a, batches, Pooling::kAllValues), MeasureActivations(*b, batches, Pooling::kAllValues)};
  auto pair = MeasureMatchedCorrelation(*a, *b, batches);
  pair.b = 1;
  const auto target = CombineStatistics(parents);
  const auto collapsed = MeasureActivations(*merged, batches, Pooling::kAllValues);
  RenormaliseFrom(*merged, target, PredictMerged(parents, {}, std::vector{pair}));
  const auto found = MeasureActivations(*merged, batches, Pooling::kAllValues);
  // eps takes 5e-6 target variance / own variance, here up to 7 times that.
  EXPECT_LT(RelativeError(found.std[0], target.std[0]), 5e-5);
  for (size_t i = 1; i < 3; ++i) {
    const auto share = [&](const ActivationStatistics& of) { return (of.std[i].mean() / target.std[i].mean()).item<double>(); };
    EXPECT_LT(std::abs(share(found) - 1), std::abs(share(collapsed) - 1)) << "layer " << i;
  }
}

}  // namespace
}  // namespace basin::merge
