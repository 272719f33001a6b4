#include "models/linear_product.h"

#include <gtest/gtest.h>
#include <torch/types.h>

#include "tests/support/tensors.h"

namespace basin::models {
namespace {

using tests::RandomTensor;
using tests::RelativeDifference;

// Sums of up to 1024 float32 products in another order than in double: about sqrt(1024) roundings of 6e-8 each.
constexpr double kTolerance = 4e-6;

torch::Tensor InDouble(const torch::Tensor& x, const torch::Tensor& weight, const torch::Tensor& bias) {
  torch::Tensor y = x.to(torch::kFloat64).mm(weight.to(torch::kFloat64).t());
  if (bias.defined()) y += bias.to(torch::kFloat64);
  return y;
}

TEST(LinearProduct, EqualsTheProductInDoubleForLargeAndForSmallMatrices) {
  for (const auto& [rows, in, out] : {std::tuple{200, 1024, 96}, {3, 5, 2}, {1, 1024, 2048}, {0, 8, 4}}) {
    const torch::Tensor x = RandomTensor({rows, in}, 1), weight = RandomTensor({out, in}, 2), bias = RandomTensor({out}, 3);
    for (const torch::Tensor& addend : {bias, torch::Tensor()}) {
      const torch::Tensor y = LinearProduct(x, weight, addend);
      ASSERT_EQ(y.sizes(), (torch::IntArrayRef{rows, out}));
      if (rows > 0) EXPECT_LT(RelativeDifference(y.to(torch::kFloat64), InDouble(x, weight, addend)), kTolerance) << rows << ' ' << in << ' ' << out;
    }
  }
}

TEST(LinearProduct, TakesTransposedAndSlicedMatrices) {
  const torch::Tensor x = RandomTensor({600, 300}, 1), weight = RandomTensor({600, 128}, 2);
  EXPECT_LT(RelativeDifference(LinearProduct(x.t(), weight.t()).to(torch::kFloat64), InDouble(x.t(), weight.t(), {})), kTolerance);
  const torch::Tensor part = x.slice(1, 10, 250), wide = RandomTensor({128, 500}, 3).slice(1, 100, 340);
  EXPECT_LT(RelativeDifference(LinearProduct(part, wide).to(torch::kFloat64), InDouble(part, wide, {})), kTolerance);
}

TEST(LinearProduct, GivesTheSameBitsEveryTime) {
  const torch::Tensor x = RandomTensor({256, 512}, 1), weight = RandomTensor({384, 512}, 2);
  const torch::Tensor first = LinearProduct(x, weight);
  for (int again = 0; again < 3; ++again) EXPECT_TRUE(torch::equal(LinearProduct(x.clone(), weight.clone()), first));
}

TEST(LinearProduct, LeavesOtherTypesToLibTorch) {
  const torch::Tensor x = RandomTensor({128, 256}, 1).to(torch::kFloat64), weight = RandomTensor({64, 256}, 2).to(torch::kFloat64);
  EXPECT_EQ(LinearProduct(x, weight).scalar_type(), torch::kFloat64);
}

}  // namespace
}  // namespace basin::models
