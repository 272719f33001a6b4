#include "report/thin.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

namespace basin::report {
namespace {

TEST(Thin, KeepsEveryValueOfAShortCurve) {
  const std::vector<double> x{0, 1, 2}, y{3, 1, 2};
  const Thinned thinned = Thin(x, y, 1);
  EXPECT_EQ(thinned.x, x);
  EXPECT_EQ(thinned.mean, y);
  EXPECT_EQ(thinned.low, y);
  EXPECT_EQ(thinned.high, y);
}

TEST(Thin, HidesNoExtremeValueAndKeepsMeansAsAPlainCountFindsThem) {
  std::vector<double> x, y;
  for (int k = 0; k < 10000; ++k) {
    x.push_back((k * 7919) % 10000);  // any order
    y.push_back(std::sin(0.37 * k) + (k == 1234 ? 50 : 0));
  }
  const int64_t per_point = UnitsPerPoint(10000, 300);
  EXPECT_EQ(per_point, 34);
  const Thinned thinned = Thin(x, y, per_point);
  std::map<int64_t, std::vector<double>> groups;
  for (size_t k = 0; k < x.size(); ++k) groups[static_cast<int64_t>(x[k]) / per_point].push_back(y[k]);
  ASSERT_EQ(thinned.x.size(), groups.size());
  EXPECT_LE(thinned.x.size(), 300u);
  size_t at = 0;
  for (const auto& [group, values] : groups) {
    double sum = 0;
    for (const double value : values) sum += value;
    EXPECT_DOUBLE_EQ(thinned.mean[at], sum / static_cast<double>(values.size()));
    EXPECT_EQ(thinned.low[at], *std::min_element(values.begin(), values.end()));
    EXPECT_EQ(thinned.high[at], *std::max_element(values.begin(), values.end()));
    ++at;
  }
  EXPECT_GT(*std::max_element(thinned.high.begin(), thinned.high.end()), 49);
}

TEST(Thin, AValueThatIsNotFiniteBreaksTheCurveWhereItIs) {
  const std::vector<double> x{0, 1, 2, 3, 4, 5}, y{1, 1, 1, std::numeric_limits<double>::quiet_NaN(), 1, 1};
  const Thinned thinned = Thin(x, y, 2);
  EXPECT_EQ(thinned.mean[0], 1);
  EXPECT_TRUE(std::isnan(thinned.mean[1]));
  EXPECT_TRUE(std::isnan(thinned.high[1]));
  EXPECT_EQ(thinned.mean[2], 1);
}

TEST(Thin, LeavesOutPointsWithoutAValueAndAnEmptyCurveIsEmpty) {
  const std::vector<double> x{0, 100}, y{1, 2};
  EXPECT_EQ(Thin(x, y, 10).x, x);
  EXPECT_TRUE(Thin({}, {}, 1).x.empty());
}

}  // namespace
}  // namespace basin::report
