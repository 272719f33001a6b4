// The two 16-bit floating types as bits, to and from float32 and float64.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

namespace basin::base {

/// IEEE 754 binary16: 1 sign, 5 exponent and 10 fraction bits.
struct Half {
  uint16_t bits = 0;
};
/// The upper half of a float32.
struct BFloat16 {
  uint16_t bits = 0;
};

/// Exact; a NaN stays one.
inline float ToFloat(Half half) {
  // Read as a float32 of the same fields the exponent is too small by 127 - 15; the product mends it, for subnormal
  // values too.
  const float scaled = std::bit_cast<float>(static_cast<uint32_t>(half.bits & 0x7FFFU) << 13) * 0x1p112F;
  const uint32_t infinite = (half.bits & 0x7C00U) == 0x7C00U ? 0x7F800000U : 0U;
  return std::bit_cast<float>(std::bit_cast<uint32_t>(scaled) | infinite |
                              static_cast<uint32_t>(half.bits & 0x8000U) << 16);
}
inline float ToFloat(BFloat16 value) { return std::bit_cast<float>(static_cast<uint32_t>(value.bits) << 16); }

/// The nearest, ties to even; beyond the range infinity. NaN: a quiet one of the same sign.
inline Half ToHalf(float value) {
  const auto bits = std::bit_cast<uint32_t>(value), size = bits & 0x7FFFFFFFU;
  const auto sign = static_cast<uint16_t>((bits & 0x80000000U) >> 16);
  const auto with_sign = [sign](uint32_t magnitude) { return Half{static_cast<uint16_t>(magnitude | sign)}; };
  if (size > 0x7F800000U) return with_sign(0x7E00U);
  if (size >= 0x477FF000U) return with_sign(0x7C00U);  // 65520, half-way from the largest to the next power of two
  // Subnormal: a float32 in [0.5, 1) has its last bit where these have theirs, so the sum rounds as wanted.
  if (size < 0x38800000U) return with_sign(std::bit_cast<uint32_t>(std::bit_cast<float>(size) + 0.5F) - 0x3F000000U);
  return with_sign((size + 0xFFFU + ((size >> 13) & 1U) - 0x38000000U) >> 13);
}

/// The nearest, ties to even; beyond the range infinity. NaN: always the same positive quiet one.
inline BFloat16 ToBFloat16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  if (std::isnan(value)) return {0x7FC0};
  return {static_cast<uint16_t>((bits + 0x7FFFU + ((bits >> 16) & 1U)) >> 16)};
}

/// The neighbour of x in float32 whose last bit is odd, unless x is a float32 itself. Rounding that to a narrower type
/// gives the same as rounding x at once; the nearest float32 may lie on a tie that x does not (Boldo and Melquiond
/// 2008).
inline float RoundToOdd(double x) {
  const auto nearest = static_cast<float>(x);
  if (static_cast<double>(nearest) == x || std::isnan(x) || (std::bit_cast<uint32_t>(nearest) & 1U) != 0)
    return nearest;
  return std::nextafter(nearest, static_cast<double>(nearest) < x ? std::numeric_limits<float>::infinity()
                                                                  : -std::numeric_limits<float>::infinity());
}

/// Of the float64 itself: rounded once.
inline Half ToHalf(double value) { return ToHalf(RoundToOdd(value)); }
inline BFloat16 ToBFloat16(double value) { return ToBFloat16(RoundToOdd(value)); }

}  // namespace basin::base
