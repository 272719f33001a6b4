#include "models/accumulating_linear.h"

#include <gtest/gtest.h>
#include <torch/autograd.h>
#include <torch/types.h>

#include "tests/support/tensors.h"

namespace basin::models {
namespace {

using tests::RandomTensor;
using tests::RelativeDifference;

// Sums of a few float32 products, perhaps in another order.
constexpr double kTolerance = 1e-6;

struct Layer {
  torch::Tensor x = RandomTensor({4, 3}, 1).requires_grad_();
  torch::Tensor weight = RandomTensor({2, 3}, 2).requires_grad_();
  torch::Tensor bias = RandomTensor({2}, 3).requires_grad_();
  torch::Tensor coefficients = RandomTensor({4, 2}, 4);  // of the loss, so dy = coefficients

  void DefineGradient(float value) { weight.mutable_grad() = torch::full({2, 3}, value); }
  torch::Tensor Loss() { return (AccumulatingLinear(x, weight, bias) * coefficients).sum(); }
  torch::Tensor WeightGradient() { return coefficients.t().mm(x.detach()); }
};

TEST(AccumulatingLinear, IsLinear) {
  Layer layer;
  layer.DefineGradient(0);
  const torch::Tensor expected = layer.x.mm(layer.weight.t()) + layer.bias;
  EXPECT_LT(RelativeDifference(AccumulatingLinear(layer.x, layer.weight, layer.bias), expected), kTolerance);
}

TEST(AccumulatingLinear, AddsToTheGradientInPlace) {
  Layer layer;
  layer.DefineGradient(10);
  const void* address = layer.weight.grad().const_data_ptr();
  layer.Loss().backward();
  EXPECT_EQ(layer.weight.grad().const_data_ptr(), address);
  EXPECT_LT(RelativeDifference(layer.weight.grad(), 10 + layer.WeightGradient()), kTolerance);
  EXPECT_LT(RelativeDifference(layer.bias.grad(), layer.coefficients.sum(0)), kTolerance);
  EXPECT_LT(RelativeDifference(layer.x.grad(), layer.coefficients.mm(layer.weight.detach())), kTolerance);
}

TEST(AccumulatingLinear, GivesGradientsToWhoeverAsksAndKeepsItsOwn) {
  Layer layer;
  layer.DefineGradient(10);
  const auto asked = torch::autograd::grad({layer.Loss()}, {layer.weight});
  EXPECT_LT(RelativeDifference(asked[0], layer.WeightGradient()), kTolerance);
  EXPECT_TRUE(torch::equal(layer.weight.grad(), torch::full({2, 3}, 10.0f)));
}

TEST(AccumulatingLinear, LeavesAFrozenWeightOutOfAPartialBackward) {
  Layer layer;
  layer.DefineGradient(10);
  torch::autograd::backward({layer.Loss()}, {}, std::nullopt, false, {layer.bias});
  EXPECT_TRUE(torch::equal(layer.weight.grad(), torch::full({2, 3}, 10.0f)));
  EXPECT_TRUE(layer.bias.grad().defined());
}

TEST(AccumulatingLinear, CanBeDifferentiatedTwice) {
  Layer layer;
  layer.DefineGradient(0);
  // L = sum c (x W')^2 / 2 has the Hessian-vector product sum_n c_n (x_n v') x_n.
  const torch::Tensor y = AccumulatingLinear(layer.x, layer.weight, layer.bias) - layer.bias;
  const auto first = torch::autograd::grad({(layer.coefficients * y * y).sum() / 2}, {layer.weight}, {}, true, /*create_graph=*/true);
  const torch::Tensor v = RandomTensor({2, 3}, 5);
  const auto product = torch::autograd::grad({(first[0] * v).sum()}, {layer.weight});
  const torch::Tensor x = layer.x.detach();
  EXPECT_LT(RelativeDifference(product[0], (layer.coefficients * x.mm(v.t())).t().mm(x)), kTolerance);
}

TEST(AccumulatingLinear, LetsHooksSeeTheGradient) {
  Layer layer;
  layer.DefineGradient(0);
  torch::Tensor seen;
  layer.weight.register_hook([&](const torch::Tensor& gradient) { seen = gradient; });
  layer.Loss().backward();
  ASSERT_TRUE(seen.defined());
  EXPECT_LT(RelativeDifference(seen, layer.WeightGradient()), kTolerance);
  EXPECT_LT(RelativeDifference(layer.weight.grad(), layer.WeightGradient()), kTolerance);
}

}  // namespace
}  // namespace basin::models
