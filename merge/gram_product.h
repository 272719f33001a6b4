// The product that weight matching spends its time in: sums of outer products of rows that lie anywhere in a tensor, in float64.
#pragma once

#include <cstdint>
#include <span>

namespace basin::merge {

/// The rows of one factor, [outer.size() * inner, n]: row (o, r) holds unit u at values[outer[o] * outer_stride + r * inner_stride +
/// u * unit_stride]. T: float or double. Borrows everything.
template <typename T>
struct GramRows {
  const T* values = nullptr;
  std::span<const int64_t> outer;
  int64_t outer_stride = 0, inner = 1, inner_stride = 0, unit_stride = 1;
  std::span<const int64_t> minus{};  ///< empty, or as many as outer: what lies there is taken away, in float64
};

/// gains[i, j] += sum over rows k of a[k, i] b[k, j], gains row-major [n, n]; a and b have as many rows. Nothing is arranged in memory
/// beforehand: rows are gathered while they are packed. Order of the sums: blocks of 128 rows, the same on any number of threads; AVX-512
/// and AVX2 give the same bits. (LibTorch's MKL keeps to AVX2 on processors that are not Intel's, with half the speed of AVX-512.)
template <typename T>
void AddGramProduct(const GramRows<T>& a, const GramRows<T>& b, int64_t n, double* gains);

extern template void AddGramProduct(const GramRows<float>&, const GramRows<float>&, int64_t, double*);
extern template void AddGramProduct(const GramRows<double>&, const GramRows<double>&, int64_t, double*);

}  // namespace basin::merge
