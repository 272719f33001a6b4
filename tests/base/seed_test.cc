#include "base/seed.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <map>
#include <numbers>
#include <numeric>
#include <set>

#include "base/error.h"

namespace basin::base {
namespace {

using Words4 = std::array<uint32_t, 4>;

// Every stream here is fixed, so no test is flaky: the bounds are those a correct generator passes
// with a probability of at least 0.999 for one statistic, and a wrong one fails by far.
Stream TestStream(uint64_t a, uint64_t b = 0) {
  return Stream({.run_seed = 20240607, .a = a, .b = b});
}

double ChiSquare(const std::vector<int64_t>& counts) {
  const double expected =
      static_cast<double>(std::accumulate(counts.begin(), counts.end(), int64_t{0})) /
      static_cast<double>(counts.size());
  double sum = 0;
  for (const int64_t count : counts) sum += (count - expected) * (count - expected) / expected;
  return sum;
}

// The 0.999 quantile of chi-square (Wilson-Hilferty; within 1 % of the tables from 2 degrees of
// freedom on).
double ChiSquareBound(size_t cells) {
  const double degrees = static_cast<double>(cells) - 1;
  const double spread = 2.0 / (9.0 * degrees);
  return degrees * std::pow(1 - spread + 3.0902 * std::sqrt(spread), 3);
}

// Largest distance between the empirical distribution and `cdf`, times sqrt(n)
// (Kolmogorov-Smirnov).
template <typename Cdf>
double KolmogorovSmirnov(std::vector<double> values, Cdf cdf) {
  std::sort(values.begin(), values.end());
  const double n = static_cast<double>(values.size());
  double largest = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    const double at = cdf(values[i]);
    largest =
        std::max({largest, at - static_cast<double>(i) / n, static_cast<double>(i + 1) / n - at});
  }
  return largest * std::sqrt(n);
}
constexpr double kKolmogorovBound = 1.95;  // 0.999 quantile of the Kolmogorov distribution

template <typename Draw>
std::vector<double> Draws(int n, Draw draw) {
  std::vector<double> values(static_cast<size_t>(n));
  for (double& value : values) value = draw();
  return values;
}

struct Moments {
  double mean = 0, variance = 0, skewness = 0, kurtosis = 0;
};

Moments MomentsOf(const std::vector<double>& values) {
  const double n = static_cast<double>(values.size());
  Moments m;
  m.mean = std::accumulate(values.begin(), values.end(), 0.0) / n;
  double second = 0, third = 0, fourth = 0;
  for (const double value : values) {
    const double d = value - m.mean;
    second += d * d / n;
    third += d * d * d / n;
    fourth += d * d * d * d / n;
  }
  m.variance = second;
  m.skewness = third / std::pow(second, 1.5);
  m.kurtosis = fourth / (second * second);
  return m;
}

TEST(Philox, MatchesTheRandom123Vectors) {
  EXPECT_EQ(Philox4x32({0, 0, 0, 0}, {0, 0}),
            (Words4{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(Philox4x32({~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}),
            (Words4{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(Philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Words4{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Stream, FollowsTheDocumentedConstruction) {
  const uint64_t seed = 0x0123456789abcdef, a = 0x1111111122222222, b = 0x3333333344444444;
  const Words4 root = Philox4x32({uint32_t(Purpose::kPermute), 0, 0, 0}, {0x89abcdef, 0x01234567});
  const Words4 leaf =
      Philox4x32({0x22222222, 0x11111111, 0x44444444, 0x33333333}, {root[0], root[1]});
  Stream stream({.run_seed = seed, .purpose = Purpose::kPermute, .a = a, .b = b});
  for (uint32_t block = 0; block < 5; ++block) {
    for (const uint32_t word : Philox4x32({block, 0, leaf[2], leaf[3]}, {leaf[0], leaf[1]})) {
      EXPECT_EQ(stream.NextU32(), word);
    }
  }
}

TEST(Stream, PutsTheFirstWordHighInSixtyFourBits) {
  Stream words = TestStream(1), pairs = TestStream(1);
  for (int i = 0; i < 9; ++i) {
    const uint64_t high = words.NextU32(), low = words.NextU32();
    EXPECT_EQ(pairs.NextU64(), high << 32 | low);
  }
}

TEST(Stream, IsAPureFunctionOfItsIdAndCopiesGoOnAlone) {
  Stream first = TestStream(5);
  for (int i = 0; i < 6; ++i) first.NextNormal();
  Stream copy = first;
  std::vector<uint32_t> expected;
  for (int i = 0; i < 20; ++i) expected.push_back(first.NextU32());
  for (const uint32_t word : expected) EXPECT_EQ(copy.NextU32(), word);
}

TEST(Stream, AnyDifferenceInAnyFieldGivesAnotherStream) {
  std::map<Words4, std::string> seen;
  const auto add = [&](const StreamId& id) {
    Stream stream(id);
    const Words4 words = {stream.NextU32(), stream.NextU32(), stream.NextU32(), stream.NextU32()};
    const std::string name =
        Text(id.run_seed, "/", static_cast<uint32_t>(id.purpose), "/", id.a, "/", id.b);
    const auto [at, inserted] = seen.emplace(words, name);
    EXPECT_TRUE(inserted) << name << " equals " << at->second;
  };
  const std::vector<uint64_t> values = {
      0, 1, 2, 3, uint64_t{1} << 32, (uint64_t{1} << 32) + 1, ~uint64_t{0}};
  for (const uint64_t seed : values) {
    for (uint32_t purpose = 1; purpose <= 11; ++purpose) {
      for (const uint64_t a : values) {
        for (const uint64_t b : values) add({seed, static_cast<Purpose>(purpose), a, b});
      }
    }
  }
  EXPECT_EQ(seen.size(), 7u * 11 * 7 * 7);
}

TEST(Stream, StreamsThatDifferInOneBitOfTheirIdAreUncorrelated) {
  constexpr int kWords = 200;
  int64_t different_bits = 0, bits = 0;
  for (int bit = 0; bit < 64; ++bit) {
    for (int field = 0; field < 3; ++field) {
      StreamId id{.run_seed = 9, .a = 100, .b = 3}, flipped = id;
      (field == 0 ? flipped.run_seed : field == 1 ? flipped.a : flipped.b) ^= uint64_t{1} << bit;
      Stream x(id), y(flipped);
      for (int i = 0; i < kWords; ++i) different_bits += std::popcount(x.NextU32() ^ y.NextU32());
      bits += 32 * kWords;
    }
  }
  // Half of the bits, within four standard deviations of a binomial.
  EXPECT_NEAR(static_cast<double>(different_bits), 0.5 * bits,
              4 * 0.5 * std::sqrt(static_cast<double>(bits)));
}

TEST(Stream, BytesAndTheirPairsAreUniform) {
  Stream stream = TestStream(2);
  std::vector<int64_t> bytes(256), pairs(65536);
  uint32_t last = 0;
  for (int i = 0; i < 500'000; ++i) {
    const uint32_t word = stream.NextU32();
    for (int shift = 0; shift < 32; shift += 8) ++bytes[word >> shift & 0xFF];
    ++pairs[last << 8 | word >> 24];
    last = word >> 24;
  }
  EXPECT_LT(ChiSquare(bytes), ChiSquareBound(bytes.size()));
  EXPECT_LT(ChiSquare(pairs), ChiSquareBound(pairs.size()));
}

TEST(NextBelow, IsUniformForSmallBounds) {
  for (const uint32_t bound : {2u, 3u, 7u, 10u, 100u}) {
    Stream stream = TestStream(3, bound);
    std::vector<int64_t> counts(bound);
    for (int i = 0; i < 200'000; ++i) ++counts.at(stream.NextBelow(bound));
    EXPECT_LT(ChiSquare(counts), ChiSquareBound(bound)) << bound;
  }
}

TEST(NextBelow, HasNoBiasWhereMultiplicationAloneWouldHaveAHugeOne) {
  // Without rejection, floor(x * 3/4) hits multiples of 3 twice as often as the other numbers.
  Stream stream = TestStream(4);
  std::vector<int64_t> residues(3);
  for (int i = 0; i < 300'000; ++i) ++residues[stream.NextBelow(3u << 30) % 3];
  EXPECT_LT(ChiSquare(residues), ChiSquareBound(3));
}

TEST(NextBelow, OfOneIsZeroOfTheLargestBoundStaysBelowAndOfZeroIsABug) {
  Stream stream = TestStream(6);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(stream.NextBelow(1), 0u);
  for (int i = 0; i < 100; ++i) EXPECT_LT(stream.NextBelow(~0u), ~0u);
  EXPECT_THROW(stream.NextBelow(0), CheckFailed);
}

TEST(NextDouble, IsUniformInItsHalfOpenIntervals) {
  Stream stream = TestStream(7);
  const auto closed0 = Draws(200'000, [&] { return stream.NextDouble(); });
  const auto open0 = Draws(200'000, [&] { return stream.NextDoubleOpen0(); });
  EXPECT_LT(KolmogorovSmirnov(closed0, [](double x) { return x; }), kKolmogorovBound);
  EXPECT_LT(KolmogorovSmirnov(open0, [](double x) { return x; }), kKolmogorovBound);
  for (const double x : closed0) ASSERT_TRUE(x >= 0 && x < 1);
  for (const double x : open0) ASSERT_TRUE(x > 0 && x <= 1);
}

TEST(NextBernoulli, HasItsProbability) {
  Stream stream = TestStream(8);
  constexpr int kDraws = 200'000;
  for (const double p : {0.0, 0.01, 0.5, 0.9, 1.0}) {
    int64_t hits = 0;
    for (int i = 0; i < kDraws; ++i) hits += stream.NextBernoulli(p) ? 1 : 0;
    EXPECT_NEAR(hits, kDraws * p, 4 * std::sqrt(kDraws * p * (1 - p)))
        << p;  // four standard deviations
  }
}

TEST(NextNormal, HasTheMomentsAndTheDistributionOfTheStandardNormal) {
  constexpr int kDraws = 500'000;
  Stream stream = TestStream(9);
  const auto values = Draws(kDraws, [&] { return stream.NextNormal(); });
  const Moments m = MomentsOf(values);
  const double unit =
      4 / std::sqrt(double{kDraws});  // four standard errors, times that of each statistic
  EXPECT_NEAR(m.mean, 0, unit);
  EXPECT_NEAR(m.variance, 1, unit * std::sqrt(2.0));
  EXPECT_NEAR(m.skewness, 0, unit * std::sqrt(6.0));
  EXPECT_NEAR(m.kurtosis, 3, unit * std::sqrt(24.0));
  EXPECT_LT(
      KolmogorovSmirnov(values, [](double x) { return 0.5 * std::erfc(-x / std::numbers::sqrt2); }),
      kKolmogorovBound);
}

TEST(NextNormal, HasIndependentNeighbours) {
  constexpr int kPairs = 250'000;
  Stream stream = TestStream(10);
  double products = 0, squares = 0;
  for (int i = 0; i < kPairs; ++i) {
    const double x = stream.NextNormal(), y = stream.NextNormal();
    products += x * y;
    squares += (x * x - 1) * (y * y - 1);
  }
  EXPECT_NEAR(products / kPairs, 0, 4 / std::sqrt(double{kPairs}));
  EXPECT_NEAR(squares / kPairs, 0, 4 * 2 / std::sqrt(double{kPairs}));
}

TEST(NextGamma, HasMeanAndVarianceOfItsShape) {
  constexpr int kDraws = 300'000;
  for (const double shape : {0.3, 1.0, 2.5, 40.0}) {
    Stream stream = TestStream(11, static_cast<uint64_t>(shape * 10));
    const Moments m = MomentsOf(Draws(kDraws, [&] { return stream.NextGamma(shape); }));
    // Four standard errors; the fourth central moment of Gamma(k) is 3 k^2 + 6 k.
    EXPECT_NEAR(m.mean, shape, 4 * std::sqrt(shape / kDraws)) << shape;
    EXPECT_NEAR(m.variance, shape, 4 * std::sqrt((2 * shape * shape + 6 * shape) / kDraws))
        << shape;
  }
}

TEST(NextGamma, OfShapeOneIsExponential) {
  Stream stream = TestStream(12);
  EXPECT_LT(KolmogorovSmirnov(Draws(200'000, [&] { return stream.NextGamma(1); }),
                              [](double x) { return -std::expm1(-x); }),
            kKolmogorovBound);
}

TEST(NextBeta, FollowsDistributionsWithAKnownClosedForm) {
  constexpr int kDraws = 200'000;
  Stream stream = TestStream(13);
  EXPECT_LT(KolmogorovSmirnov(Draws(kDraws, [&] { return stream.NextBeta(1, 1); }),
                              [](double x) { return x; }),
            kKolmogorovBound);
  EXPECT_LT(KolmogorovSmirnov(
                Draws(kDraws, [&] { return stream.NextBeta(0.5, 0.5); }),
                [](double x) { return 2 * std::numbers::inv_pi * std::asin(std::sqrt(x)); }),
            kKolmogorovBound);
  EXPECT_LT(KolmogorovSmirnov(Draws(kDraws, [&] { return stream.NextBeta(2, 3); }),
                              [](double x) { return x * x * (6 - 8 * x + 3 * x * x); }),
            kKolmogorovBound);
}

TEST(NextBeta, HasMeanAndVarianceOfMixupsShape) {
  constexpr int kDraws = 300'000;
  Stream stream = TestStream(14);
  const Moments m = MomentsOf(Draws(kDraws, [&] { return stream.NextBeta(0.2, 0.2); }));
  const double variance = 1 / (4 * (2 * 0.2 + 1));
  EXPECT_NEAR(m.mean, 0.5, 4 * std::sqrt(variance / kDraws));
  EXPECT_NEAR(m.variance, variance, 4 * std::sqrt(variance * variance * (m.kurtosis - 1) / kDraws));
}

TEST(NextBeta, StaysFiniteWhereTheGammasUnderflow) {
  Stream stream = TestStream(15);
  int64_t upper = 0;
  for (int i = 0; i < 10'000; ++i) {
    const double x =
        stream.NextBeta(1e-4, 1e-4);  // almost a coin; both gamma variates are below 1e-308
    ASSERT_TRUE(x >= 0 && x <= 1) << x;
    upper += x > 0.5 ? 1 : 0;
  }
  EXPECT_NEAR(upper, 5000, 4 * 50);  // four standard deviations of a coin thrown 10,000 times
}

TEST(NextGamma, RefusesAShapeThatIsNotPositive) {
  Stream stream = TestStream(16);
  EXPECT_THROW(stream.NextGamma(0), CheckFailed);
  EXPECT_THROW(stream.NextGamma(-1), CheckFailed);
  EXPECT_THROW(stream.NextGamma(std::nan("")), CheckFailed);
  EXPECT_THROW(stream.NextBeta(1, 0), CheckFailed);
}

TEST(RandomPermutation, HitsAllTwentyFourOrdersOfFourEquallyOften) {
  std::map<std::vector<int64_t>, int64_t> counts;
  for (uint64_t i = 0; i < 48'000; ++i) ++counts[RandomPermutation(4, {.run_seed = 1, .a = i})];
  ASSERT_EQ(counts.size(), 24u);
  std::vector<int64_t> values;
  for (const auto& [order, count] : counts) values.push_back(count);
  EXPECT_LT(ChiSquare(values), ChiSquareBound(24));
}

TEST(RandomPermutation, IsAPermutationAndAFunctionOfItsId) {
  const StreamId id{.run_seed = 3, .purpose = Purpose::kDataOrder, .a = 12};
  const std::vector<int64_t> order = RandomPermutation(1000, id);
  EXPECT_EQ(order, RandomPermutation(1000, id));
  std::vector<int64_t> sorted = order, numbers(1000);
  std::sort(sorted.begin(), sorted.end());
  std::iota(numbers.begin(), numbers.end(), 0);
  EXPECT_EQ(sorted, numbers);
  EXPECT_NE(order, numbers);
}

TEST(RandomPermutation, OfNothingIsEmptyAndOfLessIsABug) {
  EXPECT_TRUE(RandomPermutation(0, {}).empty());
  EXPECT_EQ(RandomPermutation(1, {}), std::vector<int64_t>{0});
  EXPECT_THROW(RandomPermutation(-1, {}), CheckFailed);
}

}  // namespace
}  // namespace basin::base
