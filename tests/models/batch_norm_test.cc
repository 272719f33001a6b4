#include "models/batch_norm.h"

#include <gtest/gtest.h>
#include <torch/types.h>

#include "base/error.h"
#include "models/blocks.h"
#include "models/registry.h"
#include "models/state_dict.h"
#include "tests/support/tensors.h"

namespace basin::models {
namespace {

using tests::RandomTensor;
using tests::RelativeDifference;

/// One batch-norm layer right behind the images, so its input is known exactly.
class NormOnly final : public Classifier {
 public:
  NormOnly() : norm_(register_module("norm", torch::nn::BatchNorm2d(torch::nn::BatchNorm2dOptions(3).momentum(0.25)))) {}
  torch::Tensor forward(const torch::Tensor& images) override {
    EXPECT_FALSE(torch::GradMode::is_enabled());
    return norm_(images).mean({2, 3});
  }
  PermutationSpec symmetry() const override { return {}; }
  const torch::nn::BatchNorm2d& norm() const { return norm_; }

 private:
  torch::nn::BatchNorm2d norm_;
};

BatchVisitor Visitor(const std::vector<torch::Tensor>& batches) {
  return [batches](const std::function<void(const torch::Tensor&)>& visit) {
    for (const torch::Tensor& batch : batches) visit(batch);
  };
}

// Two batches of different size count alike: it is the mean over batches, not over images.
std::vector<torch::Tensor> TwoBatches() { return {RandomTensor({4, 3, 2, 5}, 1), 3 * RandomTensor({7, 3, 2, 5}, 2) + 1}; }

TEST(RecalibrateBatchNorm, TakesTheMeanOverBatchesOfMeanAndUnbiasedVariance) {
  NormOnly model;
  const auto batches = TwoBatches();
  RecalibrateBatchNorm(model, Visitor(batches));
  const auto over_pixels = [](const torch::Tensor& batch) { return batch.to(torch::kFloat64).transpose(0, 1).flatten(1); };
  const torch::Tensor a = over_pixels(batches[0]), b = over_pixels(batches[1]);
  // 1e-6: statistics are float32, summed by LibTorch.
  EXPECT_LT(RelativeDifference(model.norm()->running_mean, (a.mean(1) + b.mean(1)) / 2), 1e-6);
  EXPECT_LT(RelativeDifference(model.norm()->running_var, (a.var(1, true) + b.var(1, true)) / 2), 1e-6);
  EXPECT_EQ(model.norm()->num_batches_tracked.item<int64_t>(), 2);
}

TEST(RecalibrateBatchNorm, ForgetsTheOldStatisticsAndRestoresTheMomentum) {
  NormOnly first, second;
  second.norm()->running_mean.fill_(100);
  second.norm()->running_var.fill_(50);
  for (NormOnly* model : {&first, &second}) RecalibrateBatchNorm(*model, Visitor(TwoBatches()));
  EXPECT_TRUE(torch::equal(first.norm()->running_mean, second.norm()->running_mean));
  EXPECT_TRUE(torch::equal(first.norm()->running_var, second.norm()->running_var));
  EXPECT_EQ(second.norm()->options.momentum(), 0.25);
  EXPECT_FALSE(second.is_training());
}

TEST(RecalibrateBatchNorm, RestoresTheMomentumWhenTheDataFail) {
  NormOnly model;
  EXPECT_THROW(RecalibrateBatchNorm(model, [](const auto&) { throw DataError("disk gone"); }), DataError);
  EXPECT_EQ(model.norm()->options.momentum(), 0.25);
}

TEST(RecalibrateBatchNorm, RefusesToLeaveANetworkWithoutStatistics) {
  NormOnly model;
  EXPECT_THROW(RecalibrateBatchNorm(model, Visitor({})), CheckFailed);
}

TEST(RecalibrateBatchNorm, DoesNotAskForDataWithoutBatchNorm) {
  const auto model = MakeModel({.name = "convnet", .width = 0.25, .norm = Norm::kLayer}, {3, 16, 16}, 4);
  EXPECT_FALSE(HasBatchNorm(*model));
  RecalibrateBatchNorm(*model, [](const auto&) { FAIL() << "no batch is needed"; });
}

TEST(RecalibrateBatchNorm, FindsTheLayersOfEveryArchitecture) {
  for (const std::string name : {"mlp", "convnet", "resnet20"}) {
    const auto model = MakeModel({.name = name, .width = 0.25}, {3, 16, 16}, 4);
    EXPECT_TRUE(HasBatchNorm(*model)) << name;
    RecalibrateBatchNorm(*model, Visitor({RandomTensor({8, 3, 16, 16}, 5)}));
    for (const NamedTensor& item : StateOf(*model)) {
      if (item.name.ends_with("num_batches_tracked")) {
        EXPECT_EQ(item.tensor.item<int64_t>(), 1) << name << ' ' << item.name;
      }
    }
  }
}

}  // namespace
}  // namespace basin::models
