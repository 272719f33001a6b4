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
inline constexpr double kSqrtHalf = 0x1.6a09e667f3bcdp-1;

/// 2 atanh(z) = log((1 + z) / (1 - z)) by its series up to z^kLast.
template <int kLast>
constexpr double TwiceAtanh(double z) {
  const double z2 = z * z;
  double sum = 0;
  for (int k = kLast; k >= 1; k -= 2) sum = sum * z2 + 1.0 / k;
  return 2 * z * sum;
}

/// -log(k / 2^53) for k in [1, 2^53]; never negative. Error below 4e-16 (1 + result), the spacing
/// of the k themselves. No table and no conversion of integers: a loop over it becomes vectors.
inline double MinusLogOfUniform(uint64_t k) {
  // A number below 2^52 (below 2^32 times 2^32) put into the last bits of 2^52 (2^84), whence k
  // without rounding.
  constexpr uint64_t k2To52 = std::bit_cast<uint64_t>(0x1p52), k2To84 = std::bit_cast<uint64_t>(0x1p84);
  const double high = std::bit_cast<double>(k2To84 | k >> 32) - (0x1p84 + 0x1p52);
  const double low = std::bit_cast<double>(k2To52 | (k & 0xffffffff));
  // k = 2^exponent x mantissa, exactly, with the mantissa within a factor of sqrt(2) around 1.
  const uint64_t bits = std::bit_cast<uint64_t>(high + low);
  const uint64_t exponent = (bits - std::bit_cast<uint64_t>(kSqrtHalf)) >> 52;
  const double mantissa = std::bit_cast<double>(bits - (exponent << 52));
  // |z| <= 0.1716, where the terms left out are below 1e-17.
  const double log = TwiceAtanh<19>((mantissa - 1) / (mantissa + 1));
  const double halvings = std::bit_cast<double>(k2To52 | (53 - exponent)) - 0x1p52;
  const double result = halvings * kLog2 - log;
  return result > 0 ? result : 0;
}

/// -log(1 - q) for q in (0, 1), relative error below 1e-15 however small q is.
inline double MinusLogOfComplement(double q) {
  if (q <= 0.5) return TwiceAtanh<41>(q / (2 - q));  // |z| <= 1/3: terms below 1e-20 are left out
  int exponent = 0;
  const double mantissa = std::frexp(1 - q, &exponent);  // in [1/2, 1); 1 - q is exact here
  return TwiceAtanh<41>((1 - mantissa) / (1 + mantissa)) - exponent * kLog2;
}

}  // namespace geometric

/// How many coordinates to pass over before each selected one (Devroye 1986, ch. X.2), from the
/// words of one stream, many at a time.
class GeometricSkips {
 public:
  static constexpr int kBatch = 32;
  /// Stands for every larger number, infinity included; may be added to any size without overflow.
  static constexpr int64_t kHuge = int64_t{1} << 50;

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
