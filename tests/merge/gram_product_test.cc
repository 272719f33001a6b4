#include "merge/gram_product.h"

#include <gtest/gtest.h>
#include <torch/types.h>

#include <numeric>
#include <vector>

#include "tests/support/tensors.h"

namespace basin::merge {
namespace {

// Whole numbers: every order of the sums gives the same bits.
torch::Tensor Whole(const std::vector<int64_t>& shape, uint64_t seed) { return tests::RandomTensor(shape, seed).mul_(8).round_(); }

std::vector<int64_t> Counting(int64_t n) {
  std::vector<int64_t> numbers(n);
  std::iota(numbers.begin(), numbers.end(), int64_t{0});
  return numbers;
}

template <typename T>
void AddsForAllSizes(torch::Dtype dtype) {
  for (const int64_t n : {1, 7, 8, 9, 24, 25, 64, 100}) {
    for (const int64_t depth : {0, 1, 5, 127, 128, 129, 300}) {
      const torch::Tensor a = Whole({depth, n}, 1).to(dtype), b = Whole({depth, n}, 2).to(dtype), start = Whole({n, n}, 3).to(torch::kFloat64);
      torch::Tensor gains = start.clone();
      const auto rows = Counting(depth);
      const auto factor = [&](const torch::Tensor& x) { return GramRows<T>{.values = x.const_data_ptr<T>(), .outer = rows, .outer_stride = n}; };
      AddGramProduct(factor(a), factor(b), n, gains.mutable_data_ptr<double>());
      EXPECT_TRUE(torch::equal(gains, start + a.to(torch::kFloat64).t().mm(b.to(torch::kFloat64)))) << n << ' ' << depth;
    }
  }
}
TEST(GramProduct, AddsTheSumOfOuterProductsForAllSizes) {
  AddsForAllSizes<float>(torch::kFloat32);
  AddsForAllSizes<double>(torch::kFloat64);
}

// A convolution's weight [out, in, 3, 3], by its outputs and by its inputs, the other axis in another order and part of it taken away.
TEST(GramProduct, GathersRowsWhereverTheyLie) {
  const int64_t out = 30, in = 20;
  const torch::Tensor a = Whole({out, in, 3, 3}, 1), b = Whole({out, in, 3, 3}, 2);
  for (const bool by_outputs : {true, false}) {
    const int64_t n = by_outputs ? out : in, others = by_outputs ? in : out;
    std::vector<int64_t> now(others), before(others);
    for (int64_t k = 0; k < others; ++k) {
      now[k] = (7 * k + 3) % others;
      before[k] = others - 1 - k;
    }
    const auto outer = Counting(others);
    GramRows<float> rows{.values = a.const_data_ptr<float>(), .outer = outer, .inner = 9, .inner_stride = 1};
    rows.outer_stride = by_outputs ? 9 : in * 9;
    rows.unit_stride = by_outputs ? in * 9 : 9;
    GramRows<float> change = rows;
    change.values = b.const_data_ptr<float>();
    change.outer = now;
    change.minus = before;
    torch::Tensor gains = torch::zeros({n, n}, torch::kFloat64);
    AddGramProduct(rows, change, n, gains.mutable_data_ptr<double>());
    const int64_t axis = by_outputs ? 1 : 0;
    const torch::Tensor changed = b.index_select(axis, torch::tensor(now)) - b.index_select(axis, torch::tensor(before));
    const auto flat = [&](const torch::Tensor& x) { return (by_outputs ? x : x.transpose(0, 1)).reshape({n, -1}).to(torch::kFloat64); };
    EXPECT_TRUE(torch::equal(gains, flat(a).mm(flat(changed).t()))) << (by_outputs ? "by outputs" : "by inputs");
  }
}

}  // namespace
}  // namespace basin::merge
