// Gaps between successes of independent Bernoulli trials, with the same bits on every machine. The
// logarithms are built from + - x / alone: libm's differ in the last bit from machine to machine
// (fused or not), and one such bit would make two ranks select different coordinates.
#pragma once

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>

#include "base/seed.h"

namespace basin::comm {
namespace geometric {

inline constexpr double kLog2 = 0x1.62e42fefa39efp-1;

/// 2 atanh(z) = log((1 + z) / (1 - z)) by its series. |z| <= 1/3, where the terms left out are
/// below 1e-20 of the sum.
constexpr double TwiceAtanh(double z) {
  double sum = 0;
  for (int k = 41; k >= 1; k -= 2) sum = sum * z * z + 1.0 / k;
  return 2 * z * sum;
}

/// One of kCells equal parts of [1, 2).
struct Cell {
  double inverse = 1;  ///< about 1 / (the middle of the cell)
  double log = 0;      ///< log(1 / inverse)
};

inline constexpr int kCellBits = 8;

constexpr std::array<Cell, 1 << kCellBits> MakeCells() {
  std::array<Cell, 1 << kCellBits> cells;
  for (size_t i = 0; i < cells.size(); ++i) {
    const double inverse = 1 / (1 + (i + 0.5) / cells.size());
    cells[i] = {inverse, TwiceAtanh((1 - inverse) / (1 + inverse))};
  }
  return cells;
}

inline constexpr auto kCells = MakeCells();

/// -log(k / 2^53) for k in [1, 2^53]; never negative. Error below 4e-16 (1 + result), the spacing
/// of the k themselves.
inline double MinusLogOfUniform(uint64_t k) {
  // k = 2^exponent x mantissa, exactly. (Signed integers are the ones that convert in one step.)
  const uint64_t bits = std::bit_cast<uint64_t>(static_cast<double>(static_cast<int64_t>(k)));
  const int exponent = static_cast<int>(bits >> 52) - 1023;
  const double mantissa = std::bit_cast<double>((bits & 0x000fffffffffffff) | 0x3ff0000000000000);
  const Cell& cell = kCells[(bits >> (52 - kCellBits)) & (kCells.size() - 1)];
  const double r = mantissa * cell.inverse - 1;  // |r| < 2^-9, so the series may end with r^5
  const double r2 = r * r;
  const double log1p = r - r2 * ((1.0 / 2 - r * (1.0 / 3)) + r2 * (1.0 / 4 - r * (1.0 / 5)));
  const double result = (53 - exponent) * kLog2 - cell.log - log1p;
  return result > 0 ? result : 0;
}

/// -log(1 - q) for q in (0, 1), relative error below 1e-15 however small q is.
inline double MinusLogOfComplement(double q) {
  if (q <= 0.5) return TwiceAtanh(q / (2 - q));
  int exponent = 0;
  const double mantissa = std::frexp(1 - q, &exponent);  // in [1/2, 1); 1 - q is exact here
  return TwiceAtanh((1 - mantissa) / (1 + mantissa)) - exponent * kLog2;
}

}  // namespace geometric

/// How many coordinates to pass over before each selected one (Devroye 1986, ch. X.2), from the
/// words of one stream, many at a time.
class GeometricSkips {
 public:
  static constexpr int kBatch = 32;
  /// Stands for every larger number, infinity included; may be added to any size without overflow.
  static constexpr int64_t kHuge = int64_t{1} << 61;

  /// rate: in (0, 1).
  GeometricSkips(const base::StreamId& id, double rate);

  /// The next kBatch skips: each is at least k with probability (1 - rate)^k. Skip number s of the
  /// stream is floor(log U / log(1 - rate)), U the s-th NextDoubleOpen0() of base::Stream(id).
  const std::array<int64_t, kBatch>& Next();

 private:
  std::array<uint32_t, 2> key_;
  std::array<uint32_t, 2> upper_counter_;
  uint64_t block_ = 0;
  double scale_;
  std::array<int64_t, kBatch> skips_;
};

}  // namespace basin::comm
