#include "trainer/optimizer.h"

#include <gtest/gtest.h>
#include <torch/nn.h>
#include <torch/optim.h>

#include <cmath>

namespace basin::trainer {
namespace {

using Kind = OptimizerOptions::Kind;

/// A module with one weight vector.
struct Weights : torch::nn::Module {
  explicit Weights(torch::Tensor values) { weight = register_parameter("weight", std::move(values)); }
  torch::Tensor weight;
};

torch::Tensor Initial() { return torch::tensor({0.5f, -1.0f, 2.0f, 0.0f}); }
torch::Tensor GradientOf(const torch::Tensor& weight, int step) {
  return (weight * 0.7f + 0.1f * static_cast<float>(step) - 0.2f).detach().clone();
}

/// Ten steps of ours; the weights after them.
torch::Tensor Ours(const OptimizerOptions& options) {
  Weights module(Initial());
  models::FlatParams params(module);
  Optimizer optimizer(options, params);
  for (int step = 0; step < 10; ++step) {
    params.gradients().copy_(GradientOf(params.values(), step));
    optimizer.Step(params, 0.05);
  }
  return params.values().clone();
}

/// Ten steps of LibTorch's own optimiser class: an implementation that shares no code with the fused kernels.
template <typename TorchOptimizer, typename Options>
torch::Tensor Theirs(const Options& options) {
  torch::Tensor weight = Initial().set_requires_grad(true);
  TorchOptimizer optimizer(std::vector<torch::Tensor>{weight}, options);
  for (int step = 0; step < 10; ++step) {
    weight.mutable_grad() = GradientOf(weight, step);
    optimizer.step();
  }
  return weight.detach();
}

// Ten float32 steps in another order of operations.
constexpr double kTolerance = 2e-6;

TEST(Optimizer, SgdWithMomentumAndDecayEqualsTorchOptim) {
  const auto theirs = Theirs<torch::optim::SGD>(torch::optim::SGDOptions(0.05).momentum(0.9).weight_decay(0.01));
  EXPECT_TRUE(torch::allclose(Ours({.kind = Kind::kSgd, .momentum = 0.9, .weight_decay = 0.01}), theirs, 0, kTolerance));
}

TEST(Optimizer, NesterovSgdEqualsTorchOptim) {
  const auto theirs = Theirs<torch::optim::SGD>(torch::optim::SGDOptions(0.05).momentum(0.9).nesterov(true));
  EXPECT_TRUE(torch::allclose(Ours({.kind = Kind::kSgd, .momentum = 0.9, .nesterov = true, .weight_decay = 0}), theirs, 0, kTolerance));
}

TEST(Optimizer, PlainSgdHasNoMomentAndEqualsTorchOptim) {
  const auto theirs = Theirs<torch::optim::SGD>(torch::optim::SGDOptions(0.05));
  EXPECT_TRUE(torch::allclose(Ours({.kind = Kind::kSgd, .momentum = 0, .weight_decay = 0}), theirs, 0, kTolerance));
}

TEST(Optimizer, AdamEqualsTorchOptim) {
  const auto theirs = Theirs<torch::optim::Adam>(torch::optim::AdamOptions(0.05).weight_decay(0.01));
  EXPECT_TRUE(torch::allclose(Ours({.kind = Kind::kAdam, .weight_decay = 0.01}), theirs, 0, kTolerance));
}

TEST(Optimizer, AdamWEqualsTorchOptim) {
  const auto theirs = Theirs<torch::optim::AdamW>(torch::optim::AdamWOptions(0.05).weight_decay(0.01));
  EXPECT_TRUE(torch::allclose(Ours({.kind = Kind::kAdamW, .weight_decay = 0.01}), theirs, 0, kTolerance));
}

TEST(Optimizer, WithLearningRateZeroKeepsEveryBit) {
  Weights module(Initial());
  models::FlatParams params(module);
  Optimizer optimizer({}, params);
  params.gradients().fill_(3);
  optimizer.Step(params, 0);
  EXPECT_TRUE(torch::equal(params.values(), Initial()));
}

}  // namespace
}  // namespace basin::trainer
