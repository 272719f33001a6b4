// The two 8-bit floating types of OCP's OFP8 as bits, to and from float32.
#pragma once

#include <bit>
#include <cstdint>
#include <limits>

#include "base/half.h"

namespace basin::base {

/// 1 sign, 4 exponent and 3 fraction bits; no infinity, the largest is 448, the smallest 2^-9 (torch: float8_e4m3fn).
struct Float8E4M3 {
  uint8_t bits = 0;
};
/// The upper half of a binary16: the largest is 57344, the smallest 2^-16 (torch: float8_e5m2).
struct Float8E5M2 {
  uint8_t bits = 0;
};

/// Exact; a NaN stays one.
inline float ToFloat(Float8E4M3 value) {
  const uint32_t size = value.bits & 0x7FU, sign = static_cast<uint32_t>(value.bits & 0x80U) << 24;
  // Read as a float32 of the same fields the exponent is too small by 127 - 7; the product mends it, for subnormal values too.
  const float scaled = size == 0x7FU ? std::numeric_limits<float>::quiet_NaN() : std::bit_cast<float>(size << 20) * 0x1p120F;
  return std::bit_cast<float>(std::bit_cast<uint32_t>(scaled) | sign);
}
inline float ToFloat(Float8E5M2 value) { return ToFloat(Half{static_cast<uint16_t>(value.bits << 8)}); }

/// |x| as bits, below the overflow of a type with so many fraction bits and that bias of the exponent: its bits of the nearest value,
/// ties to even.
template <int kFractionBits, int kBias>
inline uint32_t RoundSize(uint32_t size) {
  constexpr int kDropped = 23 - kFractionBits;
  constexpr auto kRebias = static_cast<uint32_t>(127 - kBias);
  // Subnormal: a float32 of this size has its last bit where these have theirs, so the sum rounds as wanted.
  constexpr uint32_t kAnchor = (kRebias + 1 + kDropped) << 23;
  if (size < (kRebias + 1) << 23) return std::bit_cast<uint32_t>(std::bit_cast<float>(size) + std::bit_cast<float>(kAnchor)) - kAnchor;
  return (size + ((1U << (kDropped - 1)) - 1) + ((size >> kDropped) & 1U) - (kRebias << 23)) >> kDropped;
}

/// The nearest, ties to even; beyond the range the largest of the same sign. NaN, and infinity, which the type lacks: NaN.
inline Float8E4M3 ToFloat8E4M3(float value) {
  const auto bits = std::bit_cast<uint32_t>(value), size = bits & 0x7FFFFFFFU;
  const uint32_t sign = (bits & 0x80000000U) >> 24;
  if (size >= 0x7F800000U) return {static_cast<uint8_t>(sign | 0x7FU)};
  if (size >= 0x43E80000U) return {static_cast<uint8_t>(sign | 0x7EU)};  // 464, half-way from the largest to what would follow
  return {static_cast<uint8_t>(sign | RoundSize<3, 7>(size))};
}

/// The nearest, ties to even; beyond the range the largest of the same sign; infinity stays. NaN: one of the same sign.
inline Float8E5M2 ToFloat8E5M2(float value) {
  const auto bits = std::bit_cast<uint32_t>(value), size = bits & 0x7FFFFFFFU;
  const uint32_t sign = (bits & 0x80000000U) >> 24;
  if (size > 0x7F800000U) return {static_cast<uint8_t>(sign | 0x7FU)};
  if (size == 0x7F800000U) return {static_cast<uint8_t>(sign | 0x7CU)};
  if (size >= 0x47700000U) return {static_cast<uint8_t>(sign | 0x7BU)};  // 61440, half-way from the largest to the next power of two
  return {static_cast<uint8_t>(sign | RoundSize<2, 15>(size))};
}

}  // namespace basin::base
