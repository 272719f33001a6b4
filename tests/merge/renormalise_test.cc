#include "merge/renormalise.h"

#include <gtest/gtest.h>

#include <stdexcept>

#include "base/error.h"
#include "merge/average.h"
#include "models/flat_params.h"
#include "models/layers.h"
#include "models/registry.h"
#include "models/state_dict.h"
#include "tests/support/random_tensor.h"

namespace basin::merge {
namespace {

using models::BatchVisitor;
using models::Classifier;
using test::NormalTensor;

constexpr models::InputShape kInput = {.channels = 1, .height = 4, .width = 4};

BatchVisitor Batches(int64_t count, int64_t size, std::vector<int64_t> image = {1, 4, 4}) {
  base::Stream stream({.run_seed = 5});
  auto batches = std::make_shared<std::vector<torch::Tensor>>();
  image.insert(image.begin(), size);
  for (int64_t i = 0; i < count; ++i) batches->push_back((NormalTensor(image, stream) + 0.5).to(torch::kFloat32));
  return [batches](const std::function<void(const torch::Tensor&)>& visit) {
    for (const torch::Tensor& batch : *batches) visit(batch);
  };
}

std::shared_ptr<Classifier> Mlp(uint64_t member) {
  auto model = models::MakeModel({.name = "mlp", .norm = models::Norm::kNone, .hidden = {64, 64, 64}}, kInput, 10);
  models::InitialiseWeights(*model, /*run_seed=*/1, member);
  return model;
}

/// Two convolutions, the first without a bias, between them batch norm (if wanted) and dropout.
class ConvPair final : public Classifier {
 public:
  explicit ConvPair(uint64_t seed, bool has_norm = true) : has_norm_(has_norm) {
    base::Stream stream({.run_seed = seed});
    const torch::NoGradGuard no_grad;
    for (torch::Tensor& parameter : parameters()) {
      if (parameter.dim() > 1) parameter.copy_(0.3 * NormalTensor(parameter.sizes().vec(), stream));
    }
  }
  torch::Tensor forward(const torch::Tensor& images) override {
    torch::Tensor x = first->forward(images);
    if (has_norm_) x = norm->forward(x);
    x = torch::relu(second->forward(dropout->forward(torch::relu(x))));
    return classifier->forward(x.mean({2, 3}));
  }
  models::PermutationSpec symmetry() const override { return {}; }

  models::Conv2d first{register_module("first", models::Conv2d(torch::nn::Conv2dOptions(3, 6, 3).bias(false)))};
  torch::nn::BatchNorm2d norm{register_module("norm", torch::nn::BatchNorm2d(6))};
  torch::nn::Dropout dropout{register_module("dropout", torch::nn::Dropout(0.5))};
  models::Conv2d second{register_module("second", models::Conv2d(torch::nn::Conv2dOptions(6, 5, 3)))};
  models::Linear classifier{register_module("classifier", models::Linear(5, 4))};

 private:
  bool has_norm_;
};

ActivationStatistics MeanOf(const ActivationStatistics& a, const ActivationStatistics& b) {
  ActivationStatistics mean;
  for (size_t i = 0; i < a.mean.size(); ++i) {
    mean.mean.push_back((a.mean[i] + b.mean[i]) / 2);
    mean.std.push_back((a.std[i] + b.std[i]) / 2);
  }
  return mean;
}

double LargestRelativeError(const torch::Tensor& found, const torch::Tensor& expected) {
  return ((found - expected).abs() / expected.abs()).max().item<double>();
}

void ExpectSameState(const models::StateDict& a, const models::StateDict& b) {
  for (size_t i = 0; i < a.size(); ++i) EXPECT_TRUE(torch::equal(a[i].tensor, b[i].tensor)) << a[i].name;
}

TEST(MeasureActivations, AveragesBatchMeansAndUnbiasedBatchVariances) {
  const auto model = Mlp(0);
  const BatchVisitor batches = Batches(3, 20);
  const ActivationStatistics statistics = MeasureActivations(*model, batches);
  ASSERT_EQ(statistics.mean.size(), 3U);  // without the classifier

  const auto layers = models::HookedLayers(*model);
  torch::Tensor mean = torch::zeros({64}, torch::kFloat64), variance = mean.clone();
  batches([&](const torch::Tensor& images) {
    const auto weight = layers[0].weight.detach().to(torch::kFloat64),
               bias = layers[0].bias.detach().to(torch::kFloat64);
    const torch::Tensor z = images.flatten(1).to(torch::kFloat64).matmul(weight.t()) + bias;
    mean += z.mean(0) / 3;
    variance += z.var(0, /*unbiased=*/true) / 3;
  });
  // The layer itself computes in float32 (16 terms a sum).
  EXPECT_TRUE(torch::allclose(statistics.mean[0], mean, 0, 1e-6));
  EXPECT_TRUE(torch::allclose(statistics.std[0], variance.sqrt(), 1e-6, 0));
}

TEST(MeasureActivations, CountsPixelsWithBatchNormOnItsBatchAndDropoutOff) {
  ConvPair model(1);
  model.norm->running_mean.fill_(50);  // must not matter
  const BatchVisitor batches = Batches(1, 8, {3, 6, 6});
  const ActivationStatistics found = MeasureActivations(model, batches);
  ASSERT_EQ(found.mean.size(), 2U);

  const torch::NoGradGuard no_grad;
  std::vector<torch::Tensor> z;
  batches([&](const torch::Tensor& images) {
    z.push_back(torch::conv2d(images, model.first->weight));
    const torch::Tensor x = (z[0] - z[0].mean({0, 2, 3}, true)) / (z[0].var({0, 2, 3}, false, true) + 1e-5).sqrt();
    z.push_back(torch::conv2d(torch::relu(x), model.second->weight, model.second->bias));
  });
  for (size_t i = 0; i < 2; ++i) {
    const torch::Tensor values = z[i].to(torch::kFloat64).transpose(0, 1).flatten(1);
    // Convolutions in float32, whichever algorithm.
    EXPECT_TRUE(torch::allclose(found.mean[i], values.mean(1), 0, 1e-5)) << "layer " << i;
    EXPECT_TRUE(torch::allclose(found.std[i], values.std(1), 1e-5, 0)) << "layer " << i;
  }
}

TEST(MeasureActivations, IsTheSameForChannelsLastImages) {
  ConvPair model(1);
  const BatchVisitor batches = Batches(2, 8, {3, 6, 6});
  const BatchVisitor channels_last = [&](const std::function<void(const torch::Tensor&)>& visit) {
    batches([&](const torch::Tensor& images) { visit(images.contiguous(torch::MemoryFormat::ChannelsLast)); });
  };
  const ActivationStatistics plain = MeasureActivations(model, batches),
                             last = MeasureActivations(model, channels_last);
  // Another algorithm of convolution in float32.
  EXPECT_TRUE(torch::allclose(plain.mean[1], last.mean[1], 0, 1e-5));
  EXPECT_TRUE(torch::allclose(plain.std[1], last.std[1], 1e-5, 0));
}

TEST(MeasureActivations, LeavesModelHooksStatisticsAndModeAsTheyWere) {
  ConvPair model(1);
  model.train();
  model.norm->eval();  // a mode of its own
  const models::StateDict before = models::CloneState(models::StateOf(model));
  MeasureActivations(model, Batches(2, 8, {3, 6, 6}));
  ExpectSameState(before, models::StateOf(model));
  EXPECT_TRUE(model.is_training() && model.dropout->is_training() && !model.norm->is_training());
  for (const auto& layer : models::HookedLayers(model)) EXPECT_FALSE(*layer.hook) << layer.name;
}

TEST(MeasureActivations, RefusesBatchesOfOneAndNoBatches) {
  EXPECT_THROW(MeasureActivations(*Mlp(0), Batches(1, 1)), ConfigError);
  EXPECT_THROW(MeasureActivations(*Mlp(0), Batches(0, 1)), CheckFailed);
}

TEST(Repair, WithItsOwnStatisticsChangesNothing) {
  // One batch: what is measured is what is mended, so the gain is 1 and the shift 0, up to the relative epsilon of 1e-5
  // in the variance: 5e-6 a layer, and float32.
  const auto model = Mlp(0);
  model->eval();
  const BatchVisitor batches = Batches(1, 200);
  torch::Tensor before, after;
  const auto logits = [&](torch::Tensor& out) {
    const torch::NoGradGuard no_grad;
    batches([&](const torch::Tensor& images) { out = model->forward(images).clone(); });
  };
  logits(before);
  Repair(*model, MeasureActivations(*model, batches), batches);
  logits(after);
  EXPECT_LT((after - before).abs().max().item<double>(), 1e-4 * before.abs().max().item<double>());
}

TEST(Repair, BringsACollapsedMergeBackToItsParents) {
  const auto a = Mlp(0), b = Mlp(1), merged = Mlp(2);
  models::LoadState(*merged, AverageStates(std::vector{models::StateOf(*a), models::StateOf(*b)}));
  const BatchVisitor batches = Batches(5, 400);
  const ActivationStatistics parents = MeanOf(MeasureActivations(*a, batches), MeasureActivations(*b, batches));
  const ActivationStatistics collapsed = MeasureActivations(*merged, batches);
  for (size_t i = 0; i < 3; ++i) {
    // Two independent units of equal variance average to 1 / sqrt(2) of their deviation, deeper to less.
    ASSERT_LT((collapsed.std[i].mean() / parents.std[i].mean()).item<double>(), 0.8);
  }
  Repair(*merged, parents, batches);
  const ActivationStatistics repaired = MeasureActivations(*merged, batches);
  // The first layer is linear in its input: exact up to the relative epsilon and float32.
  EXPECT_LT(LargestRelativeError(repaired.std[0], parents.std[0]), 1e-4);
  EXPECT_TRUE(torch::allclose(repaired.mean[0], parents.mean[0], 0, 1e-5));
  for (size_t i = 1; i < 3; ++i) {
    // While it is mended each batch is corrected by its own statistics, of 400 samples: 1 / sqrt(2 x 400) = 3.5 % each.
    EXPECT_LT(LargestRelativeError(repaired.std[i], parents.std[i]), 0.05) << "layer " << i;
    EXPECT_LT((repaired.std[i].mean() / parents.std[i].mean() - 1).abs().item<double>(), 0.01) << "layer " << i;
  }
}

TEST(Repair, WithOneBatchIsExactInEveryLayer) {
  const auto a = Mlp(0), b = Mlp(1), merged = Mlp(2);
  models::LoadState(*merged, AverageStates(std::vector{models::StateOf(*a), models::StateOf(*b)}));
  const BatchVisitor batches = Batches(1, 400);
  const ActivationStatistics parents = MeanOf(MeasureActivations(*a, batches), MeasureActivations(*b, batches));
  Repair(*merged, parents, batches);
  const ActivationStatistics repaired = MeasureActivations(*merged, batches);
  for (size_t i = 0; i < 3; ++i)
    EXPECT_LT(LargestRelativeError(repaired.std[i], parents.std[i]), 1e-4) << "layer " << i;
}

TEST(Repair, GivesALayerWithoutBiasTheGainAlone) {
  ConvPair model(1, /*has_norm=*/false);
  const BatchVisitor batches = Batches(1, 16, {3, 6, 6});
  const torch::Tensor weight = model.first->weight.detach().clone();
  ActivationStatistics target = MeasureActivations(model, batches);
  target.std[0] = target.std[0] * 3;
  target.mean[0] = target.mean[0] + 100;  // out of reach without a bias
  target.std[1] = target.std[1] * 2;
  Repair(model, target, batches);
  // The relative epsilon (5e-6) and float32, here and below.
  EXPECT_TRUE(torch::allclose(model.first->weight.detach(), 3 * weight, 1e-4, 1e-6));
  // The second layer was mended for the inputs that it gets now, not for inputs with the wished-for mean.
  const ActivationStatistics repaired = MeasureActivations(model, batches);
  EXPECT_LT(LargestRelativeError(repaired.std[1], target.std[1]), 1e-4);
  EXPECT_TRUE(torch::allclose(repaired.mean[1], target.mean[1], 1e-4, 1e-4));
}

TEST(Repair, RecomputesBatchNormOverTheMendedLayers) {
  ConvPair model(1);
  const BatchVisitor batches = Batches(1, 16, {3, 6, 6});
  const ActivationStatistics before = MeasureActivations(model, batches);
  ActivationStatistics target = before;
  target.std[0] = before.std[0] * 3;
  Repair(model, target, batches);
  EXPECT_TRUE(torch::allclose(model.norm->running_mean.to(torch::kFloat64), 3 * before.mean[0], 1e-4, 1e-5));
  EXPECT_TRUE(torch::allclose(model.norm->running_var.to(torch::kFloat64).sqrt(), 3 * before.std[0], 1e-4, 0));
  EXPECT_FALSE(model.is_training());
}

TEST(Repair, KeepsDeadUnitsFinite) {
  const auto model = Mlp(0);
  const BatchVisitor batches = Batches(1, 50);
  ActivationStatistics target = MeasureActivations(*model, batches);
  target.std[0][0] = 0;  // dead in the parents, alive here: silenced
  const auto layers = models::HookedLayers(*model);
  {
    const torch::NoGradGuard no_grad;
    layers[0].weight[1].zero_();  // alive in the parents, dead here
    layers[0].weight[2].zero_();  // dead in both, and so exactly that its variance is 0
    layers[0].bias[2].zero_();
    target.std[0][2] = 0;
  }
  Repair(*model, target, batches);
  for (const auto& item : models::StateOf(*model))
    EXPECT_TRUE(torch::isfinite(item.tensor).all().item<bool>()) << item.name;
  EXPECT_TRUE((layers[0].weight[0] == 0).all().item<bool>());
  EXPECT_NEAR(layers[0].bias[0].item<double>(), target.mean[0][0].item<double>(), 1e-6);
}

TEST(Repair, WritesIntoTheFlatVectorOfTheParameters) {
  const auto a = Mlp(0), b = Mlp(1);
  models::FlatParams flat(*a);
  const BatchVisitor batches = Batches(1, 50);
  const torch::Tensor before = flat.values().clone();
  Repair(*a, MeasureActivations(*b, batches), batches);
  EXPECT_FALSE(torch::equal(flat.values(), before));
  for (size_t i = 0; i < flat.slots().size(); ++i) {
    const auto& slot = flat.slots()[i];
    EXPECT_EQ(a->parameters()[i].const_data_ptr(), flat.values().slice(0, slot.offset).const_data_ptr()) << slot.name;
  }
}

TEST(Repair, LeavesTheModelAsItWasWhenABatchThrows) {
  ConvPair model(1);
  model.train();
  const models::StateDict before = models::CloneState(models::StateOf(model));
  const BatchVisitor batches = Batches(1, 8, {3, 6, 6});
  const ActivationStatistics target = MeasureActivations(model, batches);
  const BatchVisitor failing = [&](const std::function<void(const torch::Tensor&)>& visit) {
    batches(visit);
    throw std::runtime_error("no more images");
  };
  EXPECT_THROW(Repair(model, target, failing), std::runtime_error);
  ExpectSameState(before, models::StateOf(model));
  EXPECT_TRUE(model.is_training());
  for (const auto& layer : models::HookedLayers(model)) EXPECT_FALSE(*layer.hook) << layer.name;
}

TEST(Repair, RejectsStatisticsOfAnotherNetwork) {
  const BatchVisitor batches = Batches(1, 8);
  ActivationStatistics target = MeasureActivations(*Mlp(0), batches);
  target.std[1] = torch::ones({3}, torch::kFloat64);
  EXPECT_THROW(Repair(*Mlp(0), target, batches), CheckFailed);
  target.std.pop_back();
  EXPECT_THROW(Repair(*Mlp(0), target, batches), CheckFailed);
}

}  // namespace
}  // namespace basin::merge
