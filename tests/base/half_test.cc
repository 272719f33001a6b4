// The 16-bit types against their definition, for every value and every tie.
#include "base/half.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace basin::base {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// The value of the bits by the definition of IEEE 754, in double.
double Defined(unsigned bits, int fraction_bits, int bias) {
  const int exponent_bits = 15 - fraction_bits;
  const auto fraction = static_cast<int>(bits & ((1U << fraction_bits) - 1));
  const auto exponent = static_cast<int>((bits >> fraction_bits) & ((1U << exponent_bits) - 1));
  const double sign = (bits & 0x8000U) != 0 ? -1 : 1;
  if (exponent == (1 << exponent_bits) - 1) return fraction == 0 ? sign * kInfinity : std::nan("");
  if (exponent == 0) return sign * std::ldexp(fraction, 1 - bias - fraction_bits);
  return sign * std::ldexp((1 << fraction_bits) + fraction, exponent - bias - fraction_bits);
}

struct HalfKind {
  using Type = Half;
  static constexpr int kFraction = 10, kBias = 15;
  static constexpr unsigned kInfinite = 0x7C00;
  static Type Narrow(double x) { return ToHalf(x); }
};
struct BFloat16Kind {
  using Type = BFloat16;
  static constexpr int kFraction = 7, kBias = 127;
  static constexpr unsigned kInfinite = 0x7F80;
  static Type Narrow(double x) { return ToBFloat16(x); }
};

template <typename Kind>
class SixteenBits : public testing::Test {
 protected:
  static double Value(unsigned bits) { return Defined(bits, Kind::kFraction, Kind::kBias); }
  static double Read(unsigned bits) {
    return static_cast<double>(ToFloat(typename Kind::Type{static_cast<uint16_t>(bits)}));
  }
  static unsigned Round(double x) { return Kind::Narrow(x).bits; }
};
using Kinds = testing::Types<HalfKind, BFloat16Kind>;
TYPED_TEST_SUITE(SixteenBits, Kinds);

TYPED_TEST(SixteenBits, EveryValueIsReadAsDefinedAndWrittenBack) {
  for (unsigned bits = 0; bits <= 0xFFFF; ++bits) {
    const double value = this->Read(bits);
    if (std::isnan(this->Value(bits))) {
      ASSERT_TRUE(std::isnan(value)) << bits;
      ASSERT_TRUE(std::isnan(this->Read(this->Round(value)))) << bits;
      continue;
    }
    ASSERT_EQ(value, this->Value(bits)) << bits;
    ASSERT_EQ(this->Round(value), bits);  // -0 is not 0
  }
}

TYPED_TEST(SixteenBits, EveryTieGoesToTheEvenNeighbourAndNothingElseDoes) {
  for (unsigned low = 0; low < TypeParam::kInfinite; ++low) {
    const double a = this->Value(low);
    // Past the largest value the grid goes on as if there were one more: from half-way on it is infinity.
    const double b = low + 1 < TypeParam::kInfinite ? this->Value(low + 1) : a + (a - this->Value(low - 1));
    const double tie = (a + b) / 2;
    const unsigned even = low % 2 == 0 ? low : low + 1;
    for (const unsigned sign : {0U, 0x8000U}) {
      const double s = sign == 0 ? 1 : -1;
      ASSERT_EQ(this->Round(s * tie), even | sign) << low;
      ASSERT_EQ(this->Round(s * std::nextafter(tie, 0)), low | sign) << low;
      ASSERT_EQ(this->Round(s * std::nextafter(tie, kInfinity)), (low + 1) | sign) << low;
      ASSERT_EQ(this->Round(s * (a + (b - a) / 4)), low | sign) << low;
    }
  }
}

TYPED_TEST(SixteenBits, WhatIsFarBeyondTheRangeIsInfinite) {
  for (const double x : {1e39, 1e300, kInfinity}) {
    EXPECT_EQ(this->Round(x), TypeParam::kInfinite);
    EXPECT_EQ(this->Round(-x), TypeParam::kInfinite | 0x8000U);
  }
}

TEST(Half, ANaNIsQuietAndBFloat16sHasNoSign) {
  EXPECT_EQ(ToHalf(std::nan("")).bits, 0x7E00);
  EXPECT_EQ(ToHalf(-std::nan("")).bits, 0xFE00);
  EXPECT_EQ(ToBFloat16(-std::nan("")).bits, 0x7FC0);
}

}  // namespace
}  // namespace basin::base
