#include "merge/assignment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>

#include "base/error.h"
#include "base/json.h"
#include "base/seed.h"

namespace basin::merge {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::vector<double> Normal(int64_t n, uint64_t seed) {
  base::Stream stream({seed, base::Purpose::kTest});
  std::vector<double> gains(static_cast<size_t>(n * n));
  for (double& gain : gains) gain = stream.NextNormal();
  return gains;
}

/// Few different values, so that many assignments are equally good.
std::vector<double> Coarse(int64_t n, uint64_t seed, uint32_t values) {
  base::Stream stream({seed, base::Purpose::kTest});
  std::vector<double> gains(static_cast<size_t>(n * n));
  for (double& gain : gains) gain = stream.NextBelow(values);
  return gains;
}

double Total(const std::vector<double>& gains, const std::vector<int64_t>& columns) {
  double total = 0;
  for (size_t i = 0; i < columns.size(); ++i) total += gains[i * columns.size() + static_cast<size_t>(columns[i])];
  return total;
}

double BestByTryingAll(const std::vector<double>& gains, int64_t n) {
  std::vector<int64_t> columns(static_cast<size_t>(n));
  std::iota(columns.begin(), columns.end(), int64_t{0});
  double best = -std::numeric_limits<double>::infinity();
  do {
    best = std::max(best, Total(gains, columns));
  } while (std::next_permutation(columns.begin(), columns.end()));
  return best;
}

/// What the prices leave open: no assignment gains more than this above `assignment` (weak duality).
double Gap(const std::vector<double>& gains, const Assignment& assignment) {
  const size_t n = assignment.columns.size();
  std::vector<bool> taken(n, false);
  double gap = 0;
  for (size_t i = 0; i < n; ++i) {
    const auto column = static_cast<size_t>(assignment.columns[i]);
    EXPECT_FALSE(taken.at(column)) << "column " << column << " is given twice";
    taken[column] = true;
    double best = -std::numeric_limits<double>::infinity();
    for (size_t j = 0; j < n; ++j) best = std::max(best, gains[i * n + j] - assignment.prices[j]);
    gap += best - (gains[i * n + column] - assignment.prices[column]);
  }
  return gap;
}

/// n roundings of numbers as large as the largest gain, with room for prices that add up along paths.
double Tolerance(const std::vector<double>& gains, int64_t n) {
  double largest = 0;
  for (const double gain : gains) largest = std::max(largest, std::abs(gain));
  return 64 * static_cast<double>(n) * std::numeric_limits<double>::epsilon() * largest;
}

void ExpectBest(const std::vector<double>& gains, int64_t n, const std::string& what) {
  EXPECT_LE(Gap(gains, SolveAssignment(gains, n)), Tolerance(gains, n)) << what << ", n = " << n;
}

TEST(Assignment, OfNothingIsNothing) { EXPECT_THAT(MaximiseAssignment({}, 0), IsEmpty()); }

TEST(Assignment, OfOneIsThatOne) { EXPECT_THAT(MaximiseAssignment(std::vector<double>{-3.5}, 1), ElementsAre(0)); }

TEST(Assignment, IsAsGoodAsTheBestOfAllPermutations) {
  for (int64_t n = 1; n <= 8; ++n) {
    for (uint64_t seed = 0; seed < (n < 8 ? 40u : 8u); ++seed) {
      const auto smooth = Normal(n, seed), coarse = Coarse(n, seed, 3);
      EXPECT_NEAR(Total(smooth, MaximiseAssignment(smooth, n)), BestByTryingAll(smooth, n), 1e-12) << n << ", seed " << seed;
      EXPECT_EQ(Total(coarse, MaximiseAssignment(coarse, n)), BestByTryingAll(coarse, n)) << n << ", seed " << seed;
    }
  }
}

// tests/golden/assignment.py; whole numbers, so exactly.
TEST(Assignment, GainsWhatScipyGains) {
  const base::Json golden = base::ReadJson(std::string(BASIN_SOURCE_DIR) + "/tests/golden/assignment.json");
  for (const auto& entry : golden.at("cases")) {
    const auto n = entry.at("n").get<int64_t>(), a = entry.at("a").get<int64_t>(), b = entry.at("b").get<int64_t>(),
               c = entry.at("c").get<int64_t>(), m = entry.at("m").get<int64_t>();
    std::vector<double> gains;
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t j = 0; j < n; ++j) gains.push_back(static_cast<double>((a * i * i + b * i * j + c * j) % m));
    }
    const Assignment found = SolveAssignment(gains, n);
    EXPECT_EQ(Total(gains, found.columns), entry.at("total").get<double>()) << entry.dump();
    EXPECT_EQ(Gap(gains, found), 0) << entry.dump();
  }
}

TEST(Assignment, ProvesItselfWithPrices) {
  for (const int64_t n : {9, 100, 511, 512, 513, 700}) {
    ExpectBest(Normal(n, 7), n, "normal");
    ExpectBest(Coarse(n, 7, 2), n, "two values");
    ExpectBest(Coarse(n, 7, 1000), n, "a thousand values");
  }
}

TEST(Assignment, FindsAPlantedPermutation) {
  const int64_t n = 300;
  const auto planted = base::RandomPermutation(n, {3, base::Purpose::kTest});
  auto gains = Normal(n, 8);
  for (int64_t i = 0; i < n; ++i) gains[static_cast<size_t>(i * n + planted[i])] += 20;
  EXPECT_EQ(MaximiseAssignment(gains, n), planted);
}

TEST(Assignment, OfEqualGainsIsTheIdentity) {
  for (const int64_t n : {1, 2, 50}) {
    std::vector<int64_t> identity(static_cast<size_t>(n));
    std::iota(identity.begin(), identity.end(), int64_t{0});
    for (const double value : {0.0, -1.5, 1e300}) {
      EXPECT_EQ(MaximiseAssignment(std::vector<double>(static_cast<size_t>(n * n), value), n), identity) << n << " of " << value;
    }
  }
}

TEST(Assignment, OfAnOuterProductSorts) {
  const std::vector<double> a{3, 1, 2, 0}, b{10, 40, 20, 30};
  std::vector<double> gains;
  for (const double x : a) {
    for (const double y : b) gains.push_back(x * y + 5 * x - 2 * y);
  }
  EXPECT_THAT(MaximiseAssignment(gains, 4), ElementsAre(1, 2, 3, 0));
}

TEST(Assignment, OfALargeOuterProductWithRowAndColumnTermsIsBest) {
  for (const int64_t n : {64, 1500}) {
    base::Stream stream({9, base::Purpose::kTest});
    std::vector<double> a, b, r, s, gains;
    for (auto* values : {&a, &b, &r, &s}) {
      for (int64_t k = 0; k < n; ++k) values->push_back(stream.NextNormal());
    }
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t j = 0; j < n; ++j) gains.push_back(a[i] * b[j] + r[i] + s[j]);
    }
    ExpectBest(gains, n, "rank one");
  }
}

TEST(Assignment, OfNearlyAnOuterProductIsStillBest) {
  const int64_t n = 60;
  auto gains = Normal(n, 4);
  base::Stream stream({5, base::Purpose::kTest});
  std::vector<double> a, b;
  for (int64_t k = 0; k < n; ++k) a.push_back(stream.NextNormal()), b.push_back(stream.NextNormal());
  for (const double noise : {1e-3, 1e-9, 1e-13}) {
    auto noisy = gains;
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t j = 0; j < n; ++j) noisy[i * n + j] = a[i] * b[j] + noise * gains[i * n + j];
    }
    ExpectBest(noisy, n, Text("noise ", noise));
  }
}

TEST(Assignment, StandsEqualRowsAndEqualColumns) {
  const int64_t n = 40;
  auto rows = Normal(n, 10), columns = rows;
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      rows[i * n + j] = rows[(i % 3) * n + j];
      columns[i * n + j] = columns[i * n + j % 3];
    }
  }
  ExpectBest(rows, n, "three different rows");
  ExpectBest(columns, n, "three different columns");
}

TEST(Assignment, StandsGainsOfEverySize) {
  const int64_t n = 30;
  auto gains = Normal(n, 11);
  for (size_t k = 0; k < gains.size(); ++k) gains[k] *= std::pow(10.0, static_cast<double>(k % 61) - 30);
  ExpectBest(gains, n, "1e-30 to 1e30");
  for (double& gain : gains) gain *= 1e276;
  ExpectBest(gains, n, "up to 1e306");
  EXPECT_THAT(MaximiseAssignment(std::vector<double>{1e-320, 0, 2e-320, 3e-320}, 2), ElementsAre(0, 1)) << "subnormal";
}

TEST(Assignment, RefusesWhatIsNotFinite) {
  for (const double bad : {std::nan(""), HUGE_VAL, -HUGE_VAL}) {
    for (const size_t place : {0u, 7u, 399u}) {
      auto gains = Normal(20, 12);
      gains[place] = bad;
      EXPECT_THROW(MaximiseAssignment(gains, 20), DataError) << bad << " at " << place;
    }
  }
  try {
    MaximiseAssignment(std::vector<double>{0, 0, std::nan(""), 0}, 2);
  } catch (const DataError& failure) {
    EXPECT_THAT(failure.what(), HasSubstr("row 1 and column 0 is nan"));
  }
}

TEST(Assignment, RefusesAMatrixThatIsNotSquare) { EXPECT_THROW(MaximiseAssignment(std::vector<double>(5), 2), CheckFailed); }

}  // namespace
}  // namespace basin::merge
