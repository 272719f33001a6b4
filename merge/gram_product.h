// The product that weight matching spends its time in: sums of outer products, in float64.
#pragma once

#include <cstdint>

namespace basin::merge {

/// gains[i, j] += sum_k a[k, i] b[k, j]: a, b row-major [depth, n], gains row-major [n, n], none overlapping. Order of the sums: blocks of
/// k, the same on any number of threads. True when done; false, with nothing touched, on processors without AVX-512, where
/// LibTorch's product is as fast as they allow. (Its MKL keeps to AVX2 on processors that are not Intel's, with half the speed.)
bool AddGramProduct(const double* a, const double* b, int64_t depth, int64_t n, double* gains);

}  // namespace basin::merge
