#include "merge/gram_product.h"

#include <gtest/gtest.h>
#include <torch/types.h>

#include "tests/support/tensors.h"

namespace basin::merge {
namespace {

torch::Tensor Whole(int64_t depth, int64_t n, uint64_t seed) { return tests::RandomTensor({depth, n}, seed).mul_(8).round_().to(torch::kFloat64); }

// Whole numbers: every order of the sums gives the same bits.
TEST(GramProduct, AddsTheSumOfOuterProductsForAllSizes) {
  for (const int64_t n : {1, 7, 8, 9, 24, 25, 64, 100}) {
    for (const int64_t depth : {0, 1, 5, 127, 128, 129, 300}) {
      const torch::Tensor a = Whole(depth, n, 1), b = Whole(depth, n, 2), start = Whole(n, n, 3);
      torch::Tensor gains = start.clone();
      if (!AddGramProduct(a.const_data_ptr<double>(), b.const_data_ptr<double>(), depth, n, gains.mutable_data_ptr<double>())) {
        EXPECT_TRUE(torch::equal(gains, start));
        GTEST_SKIP() << "no AVX-512 here";
      }
      EXPECT_TRUE(torch::equal(gains, start + a.t().mm(b))) << n << ' ' << depth;
    }
  }
}

}  // namespace
}  // namespace basin::merge
