#include "models/layers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/types.h>

#include "models/registry.h"
#include "tests/support/tensors.h"

namespace basin::models {
namespace {

using tests::RandomTensor;
using tests::RelativeDifference;
using ::testing::ElementsAre;

std::vector<std::string> Names(const std::vector<HookedLayer>& layers) {
  std::vector<std::string> names;
  for (const HookedLayer& layer : layers) names.push_back(layer.name);
  return names;
}

TEST(ChannelLayerNorm, NormalisesTheChannelsOfEachPixel) {
  ChannelLayerNorm norm(6);
  torch::NoGradGuard no_grad;
  norm->weight.copy_(RandomTensor({6}, 1));
  norm->bias.copy_(RandomTensor({6}, 2));
  for (const bool channels_last : {false, true}) {
    const torch::Tensor x = RandomTensor({2, 6, 3, 4}, 3);
    const torch::Tensor exact = x.to(torch::kFloat64);
    const torch::Tensor mean = exact.mean(1, true), variance = exact.var(1, /*unbiased=*/false, /*keepdim=*/true);
    const torch::Tensor expected =
        (exact - mean) / (variance + 1e-5).sqrt() * norm->weight.view({1, 6, 1, 1}) + norm->bias.view({1, 6, 1, 1});
    const torch::Tensor y =
        norm(channels_last ? x.contiguous(torch::MemoryFormat::ChannelsLast) : x);
    EXPECT_EQ(y.sizes(), x.sizes());
    EXPECT_LT(RelativeDifference(y, expected), 1e-6);  // float32 rounding
  }
}

TEST(ChannelLayerNorm, TakesUnitsWithoutPixels) {
  ChannelLayerNorm norm(5);
  torch::NoGradGuard no_grad;
  const torch::Tensor x = RandomTensor({3, 5}, 1);
  EXPECT_LT(RelativeDifference(norm(x), norm(x.view({3, 5, 1, 1})).view({3, 5})), 1e-6);
}

TEST(HookedLayers, ListsConvolutionsAndLinearLayersInOrder) {
  const auto convnet = MakeModel({.name = "convnet"}, {3, 16, 16}, 10);
  EXPECT_THAT(Names(HookedLayers(*convnet)), ElementsAre("conv1", "conv2", "conv3", "conv4", "fc"));
  const auto mlp = MakeModel({.name = "mlp", .hidden = {4, 3}}, {1, 2, 2}, 2);
  EXPECT_THAT(Names(HookedLayers(*mlp)), ElementsAre("layers.0", "layers.1", "layers.2"));
  const auto resnet = MakeModel({.name = "resnet20", .width = 0.25}, {3, 8, 8}, 10);
  const auto names = Names(HookedLayers(*resnet));
  ASSERT_EQ(names.size(), 22u);  // 19 convolutions, 2 projections, 1 linear layer
  EXPECT_THAT(std::vector<std::string>(names.begin() + 7, names.begin() + 10),
              ElementsAre("layer2.0.conv1", "layer2.0.conv2", "layer2.0.downsample.0"));
}

TEST(HookedLayers, SayWhichLayersHaveABias) {
  const auto model = MakeModel({.name = "convnet"}, {3, 16, 16}, 10);
  const auto layers = HookedLayers(*model);
  EXPECT_FALSE(layers.front().bias.defined());
  EXPECT_EQ(layers.front().weight.sizes(), (std::vector<int64_t>{16, 3, 3, 3}));
  EXPECT_EQ(layers.back().bias.sizes(), (std::vector<int64_t>{10}));
}

TEST(Hook, SeesTheOutputAndReplacesIt) {
  Linear layer(3, 2);
  const torch::Tensor x = RandomTensor({4, 3}, 1), plain = layer(x);
  torch::Tensor seen;
  layer->hook = [&](const torch::Tensor& y) {
    seen = y;
    return 2 * y;
  };
  EXPECT_TRUE(torch::equal(layer(x), 2 * plain));
  EXPECT_TRUE(torch::equal(seen, plain));
}

// Activations work in place; a listener that keeps what it saw must find the pre-activation there later.
TEST(Hook, KeepsThePreActivationEvenWithoutANorm) {
  const auto model = MakeModel({.name = "convnet", .norm = Norm::kNone}, {3, 16, 16}, 10);
  torch::Tensor seen;
  *HookedLayers(*model)[2].hook = [&](const torch::Tensor& y) { return seen = y; };
  model->forward(RandomTensor({2, 3, 16, 16}, 1));
  EXPECT_LT(seen.min().item<float>(), 0);
}

}  // namespace
}  // namespace basin::models
