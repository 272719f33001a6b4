#include "merge/gram_product.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <array>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "base/error.h"

namespace basin::merge {
namespace {

constexpr int64_t kDepth = 128;  // of a block: a panel of b (24 KB) stays in the first-level cache, all of b's block in the second
constexpr int64_t kMostRows = 8, kMostColumns = 24;

/// How the processor multiplies: a tile of the result, rows x columns, is held in registers while k runs through a block.
struct Kernel {
  int64_t rows, columns;
  /// tile[rows, columns] = sum_k a[k, :]^T b[k, :] of packed panels.
  void (*multiply)(const double* a, const double* b, int64_t depth, double* tile);
};

#if defined(__x86_64__)
/// 24 of the 32 registers of eight doubles.
__attribute__((target("avx512f"))) void MultiplyAvx512(const double* a, const double* b, int64_t depth, double* tile) {
  __m512d sum[8][3];
  for (auto& row : sum) row[0] = row[1] = row[2] = _mm512_setzero_pd();
  for (int64_t k = 0; k < depth; ++k, a += 8, b += 24) {
    const __m512d b0 = _mm512_loadu_pd(b), b1 = _mm512_loadu_pd(b + 8), b2 = _mm512_loadu_pd(b + 16);
#pragma GCC unroll 8
    for (int64_t i = 0; i < 8; ++i) {
      const __m512d x = _mm512_set1_pd(a[i]);
      sum[i][0] = _mm512_fmadd_pd(x, b0, sum[i][0]);
      sum[i][1] = _mm512_fmadd_pd(x, b1, sum[i][1]);
      sum[i][2] = _mm512_fmadd_pd(x, b2, sum[i][2]);
    }
  }
#pragma GCC unroll 8
  for (int64_t i = 0; i < 8; ++i) {
    for (int64_t part = 0; part < 3; ++part) _mm512_storeu_pd(tile + i * 24 + part * 8, sum[i][part]);
  }
}

/// 12 of the 16 registers of four doubles.
__attribute__((target("avx2,fma"))) void MultiplyAvx2(const double* a, const double* b, int64_t depth, double* tile) {
  __m256d sum[4][3];
  for (auto& row : sum) row[0] = row[1] = row[2] = _mm256_setzero_pd();
  for (int64_t k = 0; k < depth; ++k, a += 4, b += 12) {
    const __m256d b0 = _mm256_loadu_pd(b), b1 = _mm256_loadu_pd(b + 4), b2 = _mm256_loadu_pd(b + 8);
#pragma GCC unroll 4
    for (int64_t i = 0; i < 4; ++i) {
      const __m256d x = _mm256_broadcast_sd(a + i);
      sum[i][0] = _mm256_fmadd_pd(x, b0, sum[i][0]);
      sum[i][1] = _mm256_fmadd_pd(x, b1, sum[i][1]);
      sum[i][2] = _mm256_fmadd_pd(x, b2, sum[i][2]);
    }
  }
#pragma GCC unroll 4
  for (int64_t i = 0; i < 4; ++i) {
    for (int64_t part = 0; part < 3; ++part) _mm256_storeu_pd(tile + i * 12 + part * 4, sum[i][part]);
  }
}
#endif

void MultiplyPlain(const double* a, const double* b, int64_t depth, double* tile) {
  std::fill_n(tile, 4 * 4, 0.0);
  for (int64_t k = 0; k < depth; ++k, a += 4, b += 4) {
    for (int64_t i = 0; i < 4; ++i) {
      for (int64_t j = 0; j < 4; ++j) tile[i * 4 + j] += a[i] * b[j];
    }
  }
}

Kernel KernelOfThisProcessor() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f")) return {8, 24, MultiplyAvx512};
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return {4, 12, MultiplyAvx2};
#endif
  return {4, 4, MultiplyPlain};
}

/// Where the rows of one block begin.
struct Block {
  template <typename T>
  Block(const GramRows<T>& x, int64_t first, int64_t count) : rows(count) {
    for (int64_t k = 0; k < rows; ++k) {
      const int64_t o = (first + k) / x.inner, r = (first + k) % x.inner;
      at[k] = x.outer[o] * x.outer_stride + r * x.inner_stride;
      if (!x.minus.empty()) minus[k] = x.minus[o] * x.outer_stride + r * x.inner_stride;
    }
  }
  int64_t rows;
  std::array<int64_t, kDepth> at, minus;
};

/// `width` units from `first` of every row of the block side by side, zeros behind the last: what a tile reads is contiguous.
template <typename T>
void Pack(const GramRows<T>& x, const Block& block, int64_t n, int64_t first, int64_t width, double* to) {
  const int64_t present = std::min(width, n - first);
  const T* from = x.values + first * x.unit_stride;
  const auto fill = [&](const auto& value) {
    if (x.unit_stride > x.outer_stride) {  // units lie apart, the rows of one beside each other
      for (int64_t u = 0; u < present; ++u) {
        for (int64_t k = 0; k < block.rows; ++k) to[k * width + u] = value(k, u);
      }
    } else {
      for (int64_t k = 0; k < block.rows; ++k) {
        for (int64_t u = 0; u < present; ++u) to[k * width + u] = value(k, u);
      }
    }
  };
  if (x.minus.empty()) {
    fill([&](int64_t k, int64_t u) { return static_cast<double>(from[block.at[k] + u * x.unit_stride]); });
  } else {
    fill([&](int64_t k, int64_t u) {
      return static_cast<double>(from[block.at[k] + u * x.unit_stride]) - static_cast<double>(from[block.minus[k] + u * x.unit_stride]);
    });
  }
  for (int64_t k = 0; present < width && k < block.rows; ++k) std::fill_n(to + k * width + present, width - present, 0.0);
}

}  // namespace

template <typename T>
void AddGramProduct(const GramRows<T>& a, const GramRows<T>& b, int64_t n, double* gains) {
  static const Kernel kernel = KernelOfThisProcessor();
  const int64_t depth = std::ssize(a.outer) * a.inner;
  BASIN_CHECK(depth == std::ssize(b.outer) * b.inner, "a product of ", depth, " and ", std::ssize(b.outer) * b.inner, " rows");
  const int64_t row_panels = (n + kernel.rows - 1) / kernel.rows, column_panels = (n + kernel.columns - 1) / kernel.columns;
  const int64_t panel_length = kDepth * kernel.columns;
  std::vector<double> packed(static_cast<size_t>(column_panels * panel_length));
  for (int64_t first = 0; first < depth; first += kDepth) {
    const int64_t rows = std::min(kDepth, depth - first);
    const Block of_a(a, first, rows), of_b(b, first, rows);
    for (int64_t panel = 0; panel < column_panels; ++panel) {
      Pack(b, of_b, n, panel * kernel.columns, kernel.columns, packed.data() + panel * panel_length);
    }
    at::parallel_for(0, row_panels, /*grain_size=*/4, [&](int64_t from, int64_t to) {
      alignas(64) double own[kDepth * kMostRows];
      alignas(64) double tile[kMostRows * kMostColumns];
      for (int64_t panel = from; panel < to; ++panel) {
        const int64_t row = panel * kernel.rows;
        Pack(a, of_a, n, row, kernel.rows, own);
        for (int64_t other = 0; other < column_panels; ++other) {
          const int64_t column = other * kernel.columns;
          kernel.multiply(own, packed.data() + other * panel_length, rows, tile);
          for (int64_t i = 0; i < std::min(kernel.rows, n - row); ++i) {
            for (int64_t j = 0; j < std::min(kernel.columns, n - column); ++j) {
              gains[(row + i) * n + column + j] += tile[i * kernel.columns + j];
            }
          }
        }
      }
    });
  }
}

template void AddGramProduct(const GramRows<float>&, const GramRows<float>&, int64_t, double*);
template void AddGramProduct(const GramRows<double>&, const GramRows<double>&, int64_t, double*);

}  // namespace basin::merge
