#include "merge/gram_product.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace basin::merge {

#if defined(__x86_64__)
namespace {

// A tile of the result is kRows x kColumns: 24 of the 32 registers of eight doubles hold it while k runs through a block.
constexpr int64_t kRows = 8, kLanes = 8, kColumns = 3 * kLanes;
constexpr int64_t kDepth = 128;  // of a block: a panel of b (24 KB) stays in the first-level cache, all of b's block in the second

/// Rows of `x` from `first`, `width` columns from `column` side by side, zeros behind the last: what a tile reads is contiguous.
void Pack(const double* x, int64_t n, int64_t rows, int64_t column, int64_t width, double* to) {
  const int64_t present = std::min(width, n - column);
  for (int64_t k = 0; k < rows; ++k) {
    std::copy_n(x + k * n + column, present, to + k * width);
    std::fill_n(to + k * width + present, width - present, 0.0);
  }
}

/// tile[kRows, kColumns] = sum_k a[k, :]^T b[k, :] of packed panels.
__attribute__((target("avx512f"))) void MultiplyPanels(const double* a, const double* b, int64_t depth, double* tile) {
  __m512d sum[kRows][3];
  for (auto& row : sum) row[0] = row[1] = row[2] = _mm512_setzero_pd();
  for (int64_t k = 0; k < depth; ++k, a += kRows, b += kColumns) {
    const __m512d b0 = _mm512_loadu_pd(b), b1 = _mm512_loadu_pd(b + kLanes), b2 = _mm512_loadu_pd(b + 2 * kLanes);
#pragma GCC unroll 8
    for (int64_t i = 0; i < kRows; ++i) {
      const __m512d x = _mm512_set1_pd(a[i]);
      sum[i][0] = _mm512_fmadd_pd(x, b0, sum[i][0]);
      sum[i][1] = _mm512_fmadd_pd(x, b1, sum[i][1]);
      sum[i][2] = _mm512_fmadd_pd(x, b2, sum[i][2]);
    }
  }
#pragma GCC unroll 8
  for (int64_t i = 0; i < kRows; ++i) {
    for (int64_t part = 0; part < 3; ++part) _mm512_storeu_pd(tile + i * kColumns + part * kLanes, sum[i][part]);
  }
}

void AddTile(const double* tile, int64_t rows, int64_t columns, int64_t n, double* gains) {
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < columns; ++j) gains[i * n + j] += tile[i * kColumns + j];
  }
}

}  // namespace

bool AddGramProduct(const double* a, const double* b, int64_t depth, int64_t n, double* gains) {
  static const bool has_avx512 = __builtin_cpu_supports("avx512f");
  if (!has_avx512) return false;
  const int64_t row_panels = (n + kRows - 1) / kRows, column_panels = (n + kColumns - 1) / kColumns;
  std::vector<double> packed(static_cast<size_t>(column_panels * kDepth * kColumns));
  for (int64_t first = 0; first < depth; first += kDepth) {
    const int64_t block = std::min(kDepth, depth - first);
    for (int64_t panel = 0; panel < column_panels; ++panel) {
      Pack(b + first * n, n, block, panel * kColumns, kColumns, packed.data() + panel * kDepth * kColumns);
    }
    at::parallel_for(0, row_panels, /*grain_size=*/4, [&](int64_t from, int64_t to) {
      alignas(64) double own[kDepth * kRows];
      alignas(64) double tile[kRows * kColumns];
      for (int64_t panel = from; panel < to; ++panel) {
        const int64_t row = panel * kRows;
        Pack(a + first * n, n, block, row, kRows, own);
        for (int64_t other = 0; other < column_panels; ++other) {
          const int64_t column = other * kColumns;
          MultiplyPanels(own, packed.data() + other * kDepth * kColumns, block, tile);
          AddTile(tile, std::min(kRows, n - row), std::min(kColumns, n - column), n, gains + row * n + column);
        }
      }
    });
  }
  return true;
}
#else
bool AddGramProduct(const double*, const double*, int64_t, int64_t, double*) { return false; }
#endif

}  // namespace basin::merge
