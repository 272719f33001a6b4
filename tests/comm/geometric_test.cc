#include "comm/geometric.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <vector>

#include "tests/support/statistics.h"

namespace basin::comm {
namespace {

using base::Purpose;
using base::Stream;

constexpr uint64_t kOne = uint64_t{1} << 53;

void ExpectCloseToLogl(uint64_t k) {
  const long double expected = -std::log(static_cast<long double>(k) / kOne);
  // The promise of the header: as coarse as the grid of the uniforms itself.
  const double tolerance = 4e-16 * (1 + static_cast<double>(expected));
  EXPECT_NEAR(geometric::MinusLogOfUniform(k), static_cast<double>(expected), tolerance)
      << "k " << k;
}

TEST(MinusLogOfUniform, AgreesWithLongDoubleLogarithms) {
  Stream stream({.run_seed = 1});
  for (int i = 0; i < 200000; ++i) ExpectCloseToLogl((stream.NextU64() >> (11 + i % 53)) + 1);
}

TEST(MinusLogOfUniform, AgreesAtPowersOfTwoAndEdgesOfCells) {
  for (int shift = 0; shift <= 53; ++shift) {
    for (uint64_t k :
         {(uint64_t{1} << shift) - 1, uint64_t{1} << shift, (uint64_t{1} << shift) + 1}) {
      if (k >= 1 && k <= kOne) ExpectCloseToLogl(k);
    }
  }
  for (uint64_t cell = 0; cell < 256; ++cell) {
    ExpectCloseToLogl(kOne / 2 + cell * (kOne / 512));
    ExpectCloseToLogl(kOne / 2 + (cell + 1) * (kOne / 512) - 1);
  }
}

TEST(MinusLogOfUniform, IsNeverNegativeAndZeroAtOne) {
  EXPECT_NEAR(geometric::MinusLogOfUniform(kOne), 0, 4e-16);
  for (uint64_t k = kOne - 5000; k <= kOne; ++k) EXPECT_GE(geometric::MinusLogOfUniform(k), 0);
}

TEST(MinusLogOfComplement, KeepsItsRelativePrecisionForTinyAndLargeRates) {
  std::vector<double> rates = {
      0x1p-53,  1e-300, 1e-30, 1e-9,      0.25,       0.5, std::nextafter(0.5, 1),
      0.500001, 0.75,   0.99,  1 - 1e-12, 1 - 0x1p-53};
  Stream stream({.run_seed = 2});
  for (int i = 0; i < 10000; ++i) rates.push_back(std::exp(-40 * stream.NextDouble()) * 0.999);
  for (double rate : rates) {
    const double expected = static_cast<double>(-std::log1p(-static_cast<long double>(rate)));
    // The promise of the header.
    EXPECT_NEAR(geometric::MinusLogOfComplement(rate), expected, 1e-15 * expected)
        << "rate " << rate;
  }
}

TEST(GeometricSkips, FollowTheFormulaOnTheWordsOfTheStream) {
  for (double rate : {1e-6, 1e-3, 0.05, 0.5, 0.97}) {
    const base::StreamId id{
        .run_seed = 9, .purpose = Purpose::kSelect, .a = 1, .b = uint64_t{1} << 40};
    GeometricSkips skips(id, rate);
    Stream stream(id);
    for (int batch = 0; batch < 100; ++batch) {
      for (int64_t skip : skips.Next()) {
        const uint64_t k = (stream.NextU64() >> 11) + 1;
        // One value at a time, as compiled for any processor: the vector instructions must agree to
        // the bit.
        const double exact =
            geometric::MinusLogOfUniform(k) * (1 / geometric::MinusLogOfComplement(rate));
        ASSERT_EQ(skip, static_cast<int64_t>(exact));
        // And with libm; a difference needs a quotient within 1e-15 of a whole number, which these
        // seeds have not.
        ASSERT_EQ(skip,
                  static_cast<int64_t>(std::floor(std::log(k * 0x1p-53) / std::log1p(-rate))));
      }
    }
  }
}

TEST(GeometricSkips, AreHugeButFiniteForTinyRates) {
  for (double rate : {1e-25, 1e-300, 5e-324}) {
    GeometricSkips skips({.run_seed = 1}, rate);  // named: what Next returns lies in it
    for (int64_t skip : skips.Next()) EXPECT_EQ(skip, GeometricSkips::kHuge);
  }
}

TEST(GeometricSkips, HaveTheGeometricDistribution) {
  for (double rate : {1e-3, 0.05, 0.3, 0.5, 0.9, 0.99}) {
    GeometricSkips skips({.run_seed = 3}, rate);
    const int num_batches = 6000, num_draws = num_batches * GeometricSkips::kBatch;
    // Cells of a width that gives several of them weight; the last takes the rest.
    const int width = std::max(1, static_cast<int>(0.3 / rate)), num_cells = rate < 0.5 ? 10 : 3;
    std::vector<double> counts(num_cells), expected(num_cells);
    for (int batch = 0; batch < num_batches; ++batch) {
      for (int64_t skip : skips.Next()) ++counts[std::min<int64_t>(num_cells - 1, skip / width)];
    }
    for (int c = 0; c < num_cells; ++c) {
      const double tail = c + 1 < num_cells ? std::pow(1 - rate, (c + 1) * width) : 0;
      expected[c] = num_draws * (std::pow(1 - rate, c * width) - tail);
    }
    // P(above the limit) is 1e-6 for a correct generator; the seed is fixed.
    EXPECT_LT(test::ChiSquare(counts, expected), test::ChiSquareLimit(num_cells - 1))
        << "rate " << rate;
  }
}

// Python's floats are IEEE doubles as well: tests/golden/geometric.py computed these.
TEST(MinusLogOfUniform, HasTheSameBitsOnEveryMachine) {
  EXPECT_EQ(geometric::MinusLogOfUniform(1), 0x1.25e4f7b2737fap+5);
  EXPECT_EQ(geometric::MinusLogOfUniform(0x123456789abcd), 0x1.ab17a335ee4d1p+1);
  EXPECT_EQ(geometric::MinusLogOfUniform(kOne - 12345), 0x1.81c800000122ap-40);
  uint64_t hash = 0, k = 88172645463325252;  // xorshift64, hashed as in FNV
  for (int i = 0; i < 100000; ++i) {
    k ^= k << 13, k ^= k >> 7, k ^= k << 17;
    hash = (hash ^ std::bit_cast<uint64_t>(geometric::MinusLogOfUniform((k >> 11) + 1))) *
           0x100000001b3;
  }
  EXPECT_EQ(hash, 0x30c618ebfe0570e4);
}

TEST(MinusLogOfComplement, HasTheSameBitsOnEveryMachine) {
  EXPECT_EQ(geometric::MinusLogOfComplement(0.002), 0x1.06680ffe7cc04p-9);
  EXPECT_EQ(geometric::MinusLogOfComplement(0.1), 0x1.af8e8210a415dp-4);
  EXPECT_EQ(geometric::MinusLogOfComplement(0.75), 0x1.62e42fefa39eep+0);
}

}  // namespace
}  // namespace basin::comm
