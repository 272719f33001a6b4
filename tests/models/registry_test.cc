#include "models/registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/types.h>

#include <limits>

#include "base/error.h"
#include "models/flat_params.h"
#include "models/state_dict.h"
#include "tests/support/tensors.h"

namespace basin::models {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

torch::Tensor Flat(Classifier& model) { return FlatParams(model).values().clone(); }

std::string RefusalOf(const ModelOptions& options, const InputShape& input = {3, 32, 32}, int64_t classes = 10) {
  try {
    MakeModel(options, input, classes);
  } catch (const ConfigError& failure) {
    return failure.what();
  }
  return "(nothing was thrown)";
}

const torch::Tensor& TensorOf(const StateDict& state, const std::string& name) { return *FindTensor(state, name); }

TEST(ModelNames, AreAllKnown) {
  for (const std::string& name : ModelNames()) {
    if (name == "torchscript") continue;  // needs a file: torchscript_test
    const auto model = MakeModel({.name = name, .width = 0.0625}, {1, 32, 32}, 3);
    model->eval();
    EXPECT_EQ(model->forward(torch::zeros({2, 1, 32, 32})).sizes(), (std::vector<int64_t>{2, 3})) << name;
  }
}

TEST(MakeModel, SuggestsTheNearestName) {
  EXPECT_THAT(RefusalOf({.name = "resnet21"}), AllOf(HasSubstr("resnet21"), HasSubstr("did you mean 'resnet2"), HasSubstr("vgg11")));
}

TEST(MakeModel, SaysWhichImagesItTakes) {
  EXPECT_THAT(RefusalOf({.name = "vgg11"}, {3, 32, 31}), AllOf(HasSubstr("32x32"), HasSubstr("32x31")));
  EXPECT_THAT(RefusalOf({.name = "resnet18"}, {3, 28, 28}), HasSubstr("32x32"));
  EXPECT_THAT(RefusalOf({.name = "resnet20"}, {3, 7, 8}), HasSubstr("8x8"));
  EXPECT_THAT(RefusalOf({.name = "convnet"}, {3, 15, 16}), HasSubstr("16x16"));
}

TEST(MakeModel, TakesTheSmallestImagesOfItsTable) {
  const std::map<std::string, int64_t> sides = {{"mlp", 1}, {"convnet", 16}, {"vgg19", 32}, {"resnet56", 8}, {"resnet50", 32}};
  for (const auto& [name, side] : sides) {
    const auto model = MakeModel({.name = name, .width = 0.125}, {3, side, side}, 2);
    EXPECT_TRUE(torch::isfinite(model->forward(tests::RandomTensor({3, 3, side, side}, 1))).all().item<bool>()) << name;
  }
}

TEST(MakeModel, RefusesSizesWithoutMeaning) {
  EXPECT_THAT(RefusalOf({.name = "resnet20", .width = 0.01}), HasSubstr("model.width is 0.01"));
  EXPECT_THAT(RefusalOf({.name = "resnet20", .width = 0}), HasSubstr("above 0"));
  EXPECT_THAT(RefusalOf({.name = "resnet20", .width = std::numeric_limits<double>::quiet_NaN()}), HasSubstr("above 0"));
  EXPECT_THAT(RefusalOf({.name = "resnet20", .width = std::numeric_limits<double>::infinity()}), HasSubstr("above 0"));
  EXPECT_THAT(RefusalOf({.name = "resnet20", .hidden = {4}}), HasSubstr("model.hidden is for mlp"));
  EXPECT_THAT(RefusalOf({.name = "mlp", .hidden = {4, 0}}), HasSubstr("model.hidden"));
  EXPECT_THAT(RefusalOf({.name = "mlp"}, {3, 32, 32}, 0), HasSubstr("0 classes"));
}

TEST(InitialiseWeights, DependOnSeedAndMemberAlone) {
  const ModelOptions options{.name = "resnet20", .width = 0.5};
  const auto a = MakeModel(options, {3, 8, 8}, 10), b = MakeModel(options, {3, 8, 8}, 10);
  EXPECT_TRUE(torch::equal(Flat(*a), Flat(*b))) << "seed 0 from the start";
  InitialiseWeights(*a, 7, 2);
  torch::manual_seed(123);  // has no say
  InitialiseWeights(*b, 7, 2);
  EXPECT_TRUE(torch::equal(Flat(*a), Flat(*b)));
  InitialiseWeights(*b, 7, 3);
  EXPECT_FALSE(torch::equal(Flat(*a), Flat(*b)));
  InitialiseWeights(*b, 8, 2);
  EXPECT_FALSE(torch::equal(Flat(*a), Flat(*b)));
}

TEST(InitialiseWeights, GiveEveryTensorItsOwnStream) {
  const auto model = MakeModel({.name = "mlp", .norm = Norm::kNone, .hidden = {8, 8}}, {1, 2, 4}, 8);
  const StateDict state = StateOf(*model);
  EXPECT_FALSE(torch::equal(TensorOf(state, "layers.0.weight"), TensorOf(state, "layers.1.weight")));
}

// Mean and deviation of n draws are within 5 standard errors with probability 1 - 1e-6.
void ExpectMoments(const torch::Tensor& tensor, double deviation, double kurtosis) {
  const double n = static_cast<double>(tensor.numel());
  const torch::Tensor exact = tensor.to(torch::kFloat64);
  EXPECT_NEAR(exact.mean().item<double>(), 0, 5 * deviation / std::sqrt(n));
  EXPECT_NEAR(exact.std(/*unbiased=*/false).item<double>(), deviation, 5 * deviation * std::sqrt((kurtosis - 1) / (4 * n)));
}

TEST(InitialiseWeights, FollowTorchvisionForResNet) {
  const auto model = MakeModel({.name = "resnet18"}, {3, 32, 32}, 100);
  const StateDict state = StateOf(*model);
  ExpectMoments(TensorOf(state, "layer2.0.conv1.weight"), std::sqrt(2.0 / (128 * 9)), /*normal*/ 3);
  ExpectMoments(TensorOf(state, "layer2.0.downsample.0.weight"), std::sqrt(2.0 / 128), 3);
  ExpectMoments(TensorOf(state, "fc.weight"), 1 / std::sqrt(3.0 * 512), /*uniform*/ 1.8);
  EXPECT_LE(TensorOf(state, "fc.weight").abs().max().item<double>(), 1 / std::sqrt(512.0));
  EXPECT_GT(TensorOf(state, "fc.bias").abs().max().item<double>(), 0);
  EXPECT_TRUE(torch::equal(TensorOf(state, "bn1.weight"), torch::ones({64})));
  EXPECT_TRUE(torch::equal(TensorOf(state, "bn1.bias"), torch::zeros({64})));
}

TEST(InitialiseWeights, FollowTorchvisionForVgg) {
  const auto model = MakeModel({.name = "vgg11"}, {3, 32, 32}, 100);
  const StateDict state = StateOf(*model);
  ExpectMoments(TensorOf(state, "features.4.weight"), std::sqrt(2.0 / (128 * 9)), 3);
  ExpectMoments(TensorOf(state, "classifier.weight"), 0.01, 3);
  EXPECT_TRUE(torch::equal(TensorOf(state, "features.4.bias"), torch::zeros({128})));
  EXPECT_TRUE(torch::equal(TensorOf(state, "classifier.bias"), torch::zeros({100})));
}

TEST(InitialiseWeights, FollowPyTorchForTheSmallNetworks) {
  const auto mlp = MakeModel({.name = "mlp"}, {3, 8, 8}, 10);
  const StateDict state = StateOf(*mlp);
  ExpectMoments(TensorOf(state, "layers.0.weight"), 1 / std::sqrt(3.0 * 192), 1.8);
  EXPECT_LE(TensorOf(state, "layers.0.bias").abs().max().item<double>(), 1 / std::sqrt(192.0));
  EXPECT_GT(TensorOf(state, "layers.0.bias").abs().max().item<double>(), 0.9 / std::sqrt(192.0));
  const auto convnet = MakeModel({.name = "convnet", .norm = Norm::kNone}, {3, 16, 16}, 10);
  const StateDict convolutions = StateOf(*convnet);
  ExpectMoments(TensorOf(convolutions, "conv4.weight"), 1 / std::sqrt(3.0 * 64 * 9), 1.8);
  EXPECT_LE(TensorOf(convolutions, "conv4.bias").abs().max().item<double>(), 1 / std::sqrt(64.0 * 9));
}

TEST(InitialiseWeights, WriteThroughFlatParameters) {
  const auto model = MakeModel({.name = "convnet"}, {3, 16, 16}, 10);
  FlatParams params(*model);
  const uint64_t before = params.values_hash();
  InitialiseWeights(*model, 4, 0);
  EXPECT_NE(params.values_hash(), before);
}

}  // namespace
}  // namespace basin::models
