#include "models/flat_params.h"

#include <gtest/gtest.h>
#include <torch/types.h>

#include "base/error.h"
#include "models/registry.h"
#include "models/state_dict.h"
#include "tests/support/tensors.h"

namespace basin::models {
namespace {

using tests::RandomTensor;

std::shared_ptr<Classifier> SmallNet() { return MakeModel({.name = "convnet", .width = 0.25}, {3, 16, 16}, 4); }

torch::Tensor Loss(Classifier& model) {
  return torch::cross_entropy_loss(model.forward(RandomTensor({6, 3, 16, 16}, 1)), torch::arange(6) % 4);
}

/// Gradients of an untouched copy of the network, one after another, as LibTorch keeps them.
torch::Tensor PlainGradients() {
  const auto model = SmallNet();
  Loss(*model).backward();
  std::vector<torch::Tensor> parts;
  for (const torch::Tensor& parameter : model->parameters()) parts.push_back(parameter.grad().contiguous().flatten());
  return torch::cat(parts);
}

struct TiedNet : torch::nn::Module {
  TiedNet() {
    first = register_module("first", torch::nn::Linear(3, 3));
    frozen = register_parameter("frozen", torch::ones(2), /*requires_grad=*/false);
    second = register_module("second", torch::nn::Linear(3, 3));
    second->weight.set_data(first->weight.data());
  }
  torch::nn::Linear first{nullptr}, second{nullptr};
  torch::Tensor frozen;
};

TEST(FlatParams, HoldTheParametersInRegistrationOrder) {
  const auto model = SmallNet();
  std::vector<torch::Tensor> parts;
  for (const torch::Tensor& parameter : model->parameters()) parts.push_back(parameter.detach().clone().flatten());
  FlatParams params(*model);
  EXPECT_TRUE(torch::equal(params.values(), torch::cat(parts)));
  int64_t offset = 0;
  for (const ParameterSlot& slot : params.slots()) {
    EXPECT_EQ(slot.offset, offset);
    offset += slot.num_elements;
  }
  EXPECT_EQ(offset, params.size());
  EXPECT_EQ(params.slots().front().name, "conv1.weight");
  EXPECT_EQ(params.slots().front().shape, (std::vector<int64_t>{4, 3, 3, 3}));
}

TEST(FlatParams, AreWhatTheModuleComputesWith) {
  const auto model = SmallNet();
  FlatParams params(*model);
  torch::NoGradGuard no_grad;
  params.values().zero_();
  EXPECT_TRUE(torch::equal(model->forward(RandomTensor({2, 3, 16, 16}, 1)), torch::zeros({2, 4})));
  const auto named = model->named_parameters();
  for (const ParameterSlot& slot : params.slots()) {
    EXPECT_EQ(named[slot.name].const_data_ptr(), params.values().const_data_ptr<float>() + slot.offset) << slot.name;
    EXPECT_TRUE(named[slot.name].is_contiguous()) << slot.name;
  }
}

TEST(FlatParams, ReceiveTheGradientsOfEveryBackward) {
  const torch::Tensor expected = PlainGradients();
  const auto model = SmallNet();
  FlatParams params(*model);
  const void* address = params.gradients().const_data_ptr();
  for (int step = 0; step < 3; ++step) {
    params.gradients().zero_();
    Loss(*model).backward();
    // Adding to zero is exact.
    EXPECT_TRUE(torch::equal(params.gradients(), expected)) << "step " << step;
    EXPECT_EQ(model->parameters().front().grad().const_data_ptr(), address);
  }
  Loss(*model).backward();
  EXPECT_TRUE(torch::equal(params.gradients(), expected + expected)) << "gradients accumulate";
}

TEST(FlatParams, StandOncePerTiedWeightAndLeaveFrozenOnesOut) {
  TiedNet net;
  FlatParams params(net);
  EXPECT_EQ(params.size(), 9 + 3 + 3);
  ASSERT_EQ(params.slots().size(), 3u);
  EXPECT_EQ(params.slots()[2].name, "second.bias");
  EXPECT_EQ(net.first->weight.const_data_ptr(), net.second->weight.const_data_ptr());
  const torch::Tensor x = RandomTensor({2, 3}, 1);
  net.second->forward(net.first->forward(x)).sum().backward();
  // d/dW of sum(W (W x + b) + c): from the outer W, the hidden values; from the inner, the column sums of W times x.
  const torch::Tensor hidden = net.first->forward(x).detach(), ones = torch::ones({2, 3});
  const torch::Tensor expected = ones.t().mm(hidden) + ones.mm(net.first->weight.detach()).t().mm(x);
  EXPECT_LT(tests::RelativeDifference(params.gradients().narrow(0, 0, 9).view({3, 3}), expected), 1e-5);
}

TEST(FlatParams, CanBeMadeAgainForTheSameModule) {
  const auto model = SmallNet();
  const FlatParams first(*model);
  const FlatParams second(*model);
  EXPECT_TRUE(torch::equal(first.values(), second.values()));
  EXPECT_EQ(first.slots().size(), second.slots().size());
  EXPECT_NE(model->parameters().front().const_data_ptr(), first.values().const_data_ptr());
}

TEST(FlatParams, LayoutHashTellsNamesShapesAndOrderApart) {
  const auto hash = [](const ModelOptions& options) { return FlatParams(*MakeModel(options, {3, 16, 16}, 4)).layout_hash(); };
  const uint64_t convnet = hash({.name = "convnet"});
  EXPECT_EQ(hash({.name = "convnet"}), convnet);
  EXPECT_NE(hash({.name = "convnet", .width = 2}), convnet);
  EXPECT_NE(hash({.name = "convnet", .norm = Norm::kNone}), convnet);
  // Two matrices of 6 elements: equal sizes are not equal layouts.
  EXPECT_NE(FlatParams(*torch::nn::Linear(torch::nn::LinearOptions(2, 3).bias(false))).layout_hash(),
            FlatParams(*torch::nn::Linear(torch::nn::LinearOptions(3, 2).bias(false))).layout_hash());
}

TEST(FlatParams, ValuesHashFollowsTheValues) {
  const auto a = SmallNet(), b = SmallNet();
  FlatParams first(*a), second(*b);
  EXPECT_EQ(first.values_hash(), second.values_hash());
  second.values()[0] += 1;
  EXPECT_NE(first.values_hash(), second.values_hash());
}

TEST(FlatParams, RefuseOtherTypesThanFloat32) {
  torch::nn::Linear layer(2, 2);
  layer->to(torch::kFloat64);
  EXPECT_THROW(FlatParams{*layer}, CheckFailed);
}

TEST(FlatParams, SurviveLoadingAState) {
  const auto model = SmallNet(), other = SmallNet();
  InitialiseWeights(*other, 5, 0);
  FlatParams params(*model);
  LoadState(*model, StateOf(*other));
  const FlatParams expected(*other);
  EXPECT_TRUE(torch::equal(params.values(), expected.values()));
}

}  // namespace
}  // namespace basin::models
