#include "merge/assignment_rows.h"

#include <algorithm>
#include <cstring>
#include <limits>

// One binary for every processor: the loader picks the widest version. The sanitizers' start-up does not stand such a choice.
#if defined(__x86_64__) && defined(__gnu_linux__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)
#define BASIN_WIDE __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define BASIN_WIDE
#endif

namespace basin::merge {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
/// Columns after which lanes are folded into one number: long enough to hide the folding, short enough to find a column quickly.
constexpr int64_t kBlock = 512;
constexpr int64_t kLanes = 8;
typedef double Lanes __attribute__((vector_size(kLanes * sizeof(double))));

#define BASIN_INLINE inline __attribute__((always_inline))

BASIN_INLINE void Load(Lanes& lanes, const double* from) { std::memcpy(&lanes, from, sizeof lanes); }

/// The smallest of values[begin, end).
BASIN_INLINE double Smallest(const double* values, int64_t begin, int64_t end) {
  double smallest = kInfinity;
  int64_t j = begin;
  if (end - begin >= 2 * kLanes) {
    Lanes a, b, va, vb;
    Load(a, values + j);
    Load(b, values + j + kLanes);
    for (j += 2 * kLanes; j + 2 * kLanes <= end; j += 2 * kLanes) {
      Load(va, values + j);
      Load(vb, values + j + kLanes);
      a = va < a ? va : a;
      b = vb < b ? vb : b;
    }
    a = b < a ? b : a;
    for (int64_t l = 0; l < kLanes; ++l) smallest = std::min(smallest, a[l]);
  }
  for (; j < end; ++j) smallest = std::min(smallest, values[j]);
  return smallest;
}

/// The two largest of row - price in [begin, end), folded into `best`.
BASIN_INLINE void FoldTwoLargest(const double* row, const double* price, int64_t begin, int64_t end, double& first, double& second) {
  const auto fold = [&](double value) {
    second = std::max(second, std::min(first, value));
    first = std::max(first, value);
  };
  int64_t j = begin;
  if (end - begin >= 2 * kLanes) {
    Lanes low = Lanes{} - kInfinity, a = low, b = low, c = low, d = low, g, p;
    for (; j + 2 * kLanes <= end; j += 2 * kLanes) {
      Load(g, row + j);
      Load(p, price + j);
      Lanes h = g - p, beaten = h < a ? h : a;
      a = h < a ? a : h;
      b = beaten < b ? b : beaten;
      Load(g, row + j + kLanes);
      Load(p, price + j + kLanes);
      h = g - p;
      beaten = h < c ? h : c;
      c = h < c ? c : h;
      d = beaten < d ? d : beaten;
    }
    for (int64_t l = 0; l < kLanes; ++l) {
      fold(a[l]);
      fold(b[l]);
      fold(c[l]);
      fold(d[l]);
    }
  }
  for (; j < end; ++j) fold(row[j] - price[j]);
}

}  // namespace

BASIN_WIDE bool RaiseToRow(const double* row, int64_t n, int64_t number, double* best, int64_t* owner) {
  double faults = 0;
  int64_t j = 0;
  Lanes sum{}, value;
  for (; j + kLanes <= n; j += kLanes) {
    Load(value, row + j);
    value *= 0x1p40;
    sum += value - value;  // infinity - infinity is NaN, and stays
  }
  for (; j < n; ++j) faults += row[j] * 0x1p40 - row[j] * 0x1p40;
  for (int64_t l = 0; l < kLanes; ++l) faults += sum[l];
  for (j = 0; j < n; ++j) {
    const bool higher = row[j] > best[j];
    best[j] = higher ? row[j] : best[j];
    owner[j] = higher ? number : owner[j];
  }
  return faults == 0;
}

BASIN_WIDE TwoBest FindTwoBest(const double* row, const double* price, int64_t n) {
  TwoBest best{-kInfinity, -kInfinity, -1, -1};
  int64_t block = 0;
  for (int64_t begin = 0; begin < n; begin += kBlock) {
    const double before = best.first_profit;
    FoldTwoLargest(row, price, begin, std::min(n, begin + kBlock), best.first_profit, best.second_profit);
    if (best.first_profit > before) block = begin;
  }
  for (best.first = block; row[best.first] - price[best.first] != best.first_profit;) ++best.first;
  if (best.second_profit == best.first_profit) {
    for (best.second = best.first + 1; row[best.second] - price[best.second] != best.first_profit;) ++best.second;
  }
  return best;
}

BASIN_WIDE Nearest Relax(const double* row, const double* price, int64_t n, double base, int64_t number, double* distance,
                         int64_t* from) {
  Nearest nearest{kInfinity, -1};
  int64_t block = -1;
  for (int64_t begin = 0; begin < n; begin += kBlock) {
    const int64_t end = std::min(n, begin + kBlock);
    for (int64_t j = begin; j < end; ++j) {
      const double through = base + (price[j] - row[j]);
      const bool shorter = through < distance[j];
      distance[j] = shorter ? through : distance[j];
      from[j] = shorter ? number : from[j];
    }
    const double smallest = Smallest(distance, begin, end);
    if (smallest < nearest.distance) {
      nearest.distance = smallest;
      block = begin;
    }
  }
  if (block >= 0) {
    for (nearest.column = block; distance[nearest.column] != nearest.distance;) ++nearest.column;
  }
  return nearest;
}

}  // namespace basin::merge
