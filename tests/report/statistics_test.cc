#include "report/statistics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "base/json.h"

namespace basin::report {
namespace {

using base::Json;
using testing::DoubleEq;
using testing::ElementsAre;

/// Written by tests/golden/statistics.py with scipy.
const Json& Golden() {
  static const Json golden = base::ReadJson(std::string(BASIN_SOURCE_DIR) + "/tests/golden/statistics.json");
  return golden;
}

std::vector<double> Numbers(const Json& list) { return list.get<std::vector<double>>(); }

void ExpectClose(double found, double wanted, double relative) { EXPECT_NEAR(found, wanted, relative * std::abs(wanted) + 1e-300); }

TEST(Summarise, IsMeanAndSampleDeviation) {
  const Summary summary = Summarise(std::vector<double>{1, 2, 3, 6});
  EXPECT_EQ(summary.count, 4u);
  EXPECT_DOUBLE_EQ(summary.mean, 3);
  EXPECT_DOUBLE_EQ(summary.sd, std::sqrt(14.0 / 3));
}

TEST(Summarise, OfOneValueHasNoDeviationAndOfNoneNothing) {
  EXPECT_EQ(Summarise(std::vector<double>{5}).sd, 0);
  EXPECT_EQ(Summarise({}).count, 0u);
}

TEST(Student, TailsAgreeWithScipy) {
  // scipy itself computes them to about 1e-13; at a million degrees of freedom the logarithms of the gamma function lose six digits.
  for (const Json& row : Golden()["student"]) {
    const double degrees = row["degrees"];
    SCOPED_TRACE(row.dump());
    ExpectClose(StudentTwoSided(row["t"], degrees), row["p"], degrees > 1e5 ? 1e-8 : 1e-11);
  }
}

TEST(Student, TailIsTheCauchyDistributionForOneDegree) {
  for (const double t : {1e-9, 0.1, 1.0, 7.0}) EXPECT_NEAR(StudentTwoSided(t, 1), 1 - 2 * std::atan(t) / M_PI, 1e-14);
  EXPECT_EQ(StudentTwoSided(0, 1), 1);
  EXPECT_EQ(StudentTwoSided(INFINITY, 3), 0);
}

TEST(Student, QuantilesAgreeWithScipy) {
  for (const Json& row : Golden()["quantiles"]) {
    SCOPED_TRACE(row.dump());
    ExpectClose(StudentQuantile(row["confidence"], row["degrees"]), row["t"], 1e-11);
  }
}

void ExpectLike(const std::optional<Comparison>& found, const Json& wanted) {
  SCOPED_TRACE(wanted.dump());
  ASSERT_TRUE(found.has_value());
  ExpectClose(found->t, wanted["t"], 1e-9);  // differences of numbers near 0.9 lose digits
  ExpectClose(found->degrees, wanted["degrees"], 1e-9);
  ExpectClose(found->p, wanted["p"], 1e-9);
  EXPECT_NEAR(found->low, wanted["low"], 1e-12);
  EXPECT_NEAR(found->high, wanted["high"], 1e-12);
}

TEST(Compare, PairedTestsAgreeWithScipy) {
  for (const Json& row : Golden()["paired"]) ExpectLike(ComparePaired(Numbers(row["a"]), Numbers(row["b"])), row);
}

TEST(Compare, WelchTestsAgreeWithScipy) {
  for (const Json& row : Golden()["welch"]) ExpectLike(CompareWelch(Numbers(row["a"]), Numbers(row["b"])), row);
}

TEST(Compare, WithoutSpreadOrWithOneValueThereIsNoTest) {
  const std::vector<double> a{0.5, 0.6, 0.7}, same_distance{0.6, 0.7, 0.8}, flat{0.5, 0.5, 0.5}, one{0.5};
  EXPECT_FALSE(ComparePaired(a, a).has_value());
  EXPECT_FALSE(ComparePaired(a, same_distance).has_value());
  EXPECT_FALSE(CompareWelch(flat, flat).has_value());
  EXPECT_FALSE(CompareWelch(a, one).has_value());
  EXPECT_FALSE(ComparePaired(one, one).has_value());
}

TEST(Holm, AdjustsAsInHisExampleAndKeepsTheOrder) {
  // Four tests: .005 * 4, .01 * 3, .03 * 2, then .04 * 1, which may not fall below its predecessor.
  EXPECT_THAT(HolmAdjusted(std::vector<double>{0.01, 0.04, 0.03, 0.005}),
              ElementsAre(DoubleEq(0.03), DoubleEq(0.06), DoubleEq(0.06), DoubleEq(0.02)));
  EXPECT_THAT(HolmAdjusted(std::vector<double>{0.9, 0.8}), ElementsAre(1, 1));
  EXPECT_THAT(HolmAdjusted({}), ElementsAre());
}

TEST(ParetoFront, HoldsWhatNobodyBeats) {
  const std::vector<Purchase> purchases{{3, 0.9}, {1, 0.7}, {2, 0.7}, {2, 0.8}, {4, 0.85}};
  EXPECT_THAT(ParetoFront(purchases), ElementsAre(1, 3, 0));
}

TEST(ParetoFront, HoldsEqualsTogether) {
  EXPECT_THAT(ParetoFront(std::vector<Purchase>{{1, 0.5}, {1, 0.5}, {1, 0.4}}), ElementsAre(0, 1));
  EXPECT_THAT(ParetoFront({}), ElementsAre());
}

TEST(ParetoFront, AgreesWithTheDefinitionOnAGridOfAllPairs) {
  std::vector<Purchase> purchases;
  for (int k = 0; k < 40; ++k) purchases.push_back({double((k * 7) % 11), double((k * 5) % 13)});
  std::vector<size_t> wanted;
  for (size_t k = 0; k < purchases.size(); ++k) {
    bool beaten = false;
    for (const Purchase& other : purchases) {
      const bool no_worse = other.cost <= purchases[k].cost && other.value >= purchases[k].value;
      beaten = beaten || (no_worse && (other.cost < purchases[k].cost || other.value > purchases[k].value));
    }
    if (!beaten) wanted.push_back(k);
  }
  EXPECT_THAT(ParetoFront(purchases), testing::UnorderedElementsAreArray(wanted));
}

}  // namespace
}  // namespace basin::report
