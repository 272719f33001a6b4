// The 8-bit types against their definition, for every value and every tie.
#include "base/float8.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace basin::base {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

struct E4M3 {
  using Type = Float8E4M3;
  static constexpr int kFraction = 3, kBias = 7;
  static constexpr unsigned kLargest = 0x7E;
  static Type Narrow(float x) { return ToFloat8E4M3(x); }
};
struct E5M2 {
  using Type = Float8E5M2;
  static constexpr int kFraction = 2, kBias = 15;
  static constexpr unsigned kLargest = 0x7B;
  static Type Narrow(float x) { return ToFloat8E5M2(x); }
};

template <typename Kind>
class EightBits : public testing::Test {
 protected:
  /// Of a code up to the largest, by the definition of OFP8.
  static double Defined(unsigned code) {
    const auto fraction = static_cast<int>(code & ((1U << Kind::kFraction) - 1));
    const auto exponent = static_cast<int>((code & 0x7FU) >> Kind::kFraction);
    const double sign = (code & 0x80U) != 0 ? -1 : 1;
    if (exponent == 0) return sign * std::ldexp(fraction, 1 - Kind::kBias - Kind::kFraction);
    return sign * std::ldexp((1 << Kind::kFraction) + fraction, exponent - Kind::kBias - Kind::kFraction);
  }
  static float Read(unsigned code) { return ToFloat(typename Kind::Type{static_cast<uint8_t>(code)}); }
  static unsigned Round(float x) { return Kind::Narrow(x).bits; }
};
using Kinds = testing::Types<E4M3, E5M2>;
TYPED_TEST_SUITE(EightBits, Kinds);

TYPED_TEST(EightBits, EveryValueIsReadAsDefinedAndWrittenBack) {
  for (const unsigned sign : {0x00U, 0x80U}) {
    for (unsigned code = sign; code <= (sign | TypeParam::kLargest); ++code) {
      ASSERT_EQ(static_cast<double>(this->Read(code)), this->Defined(code)) << code;
      ASSERT_EQ(this->Round(this->Read(code)), code);  // -0 is not 0
    }
  }
}

TYPED_TEST(EightBits, BetweenTwoValuesTheNearestIsTakenAndTheEvenOneOfATie) {
  for (unsigned code = 0; code < TypeParam::kLargest; ++code) {
    const auto middle = static_cast<float>((this->Defined(code) + this->Defined(code + 1)) / 2);
    const unsigned even = code % 2 == 0 ? code : code + 1;
    ASSERT_EQ(this->Round(middle), even);
    ASSERT_EQ(this->Round(std::nextafter(middle, 0.0F)), code);
    ASSERT_EQ(this->Round(std::nextafter(middle, kInfinity)), code + 1);
    ASSERT_EQ(this->Round(-middle), even | 0x80U);
  }
}

TYPED_TEST(EightBits, WhatIsTooLargeBecomesTheLargest) {
  const float largest = this->Read(TypeParam::kLargest);
  for (const float factor : {1.0F, 1.01F, 1.3F, 100.0F}) {
    EXPECT_EQ(this->Round(largest * factor), TypeParam::kLargest);
    EXPECT_EQ(this->Round(-largest * factor), TypeParam::kLargest | 0x80U);
  }
  EXPECT_EQ(this->Round(std::numeric_limits<float>::max()), TypeParam::kLargest);
}

TYPED_TEST(EightBits, WhatIsNoFiniteNumberStaysNone) {
  EXPECT_TRUE(std::isnan(this->Read(this->Round(std::nanf("")))));
  EXPECT_FALSE(std::isfinite(this->Read(this->Round(kInfinity))));
  EXPECT_FALSE(std::isfinite(this->Read(this->Round(-kInfinity))));
}

}  // namespace
}  // namespace basin::base
