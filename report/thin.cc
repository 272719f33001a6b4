#include "report/thin.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"

namespace basin::report {
namespace {

struct Point {
  double sum_x = 0, sum_y = 0;
  double low = INFINITY, high = -INFINITY;
  int64_t count = 0;
  bool finite = true;

  void Add(double x, double y) {
    sum_x += x;
    sum_y += y;
    low = std::min(low, y);
    high = std::max(high, y);
    finite = finite && std::isfinite(y);
    ++count;
  }
};

}  // namespace

int64_t UnitsPerPoint(int64_t span, int64_t most_points) { return std::max<int64_t>(1, (span + most_points - 1) / most_points); }

Thinned Thin(std::span<const double> x, std::span<const double> y, int64_t per_point) {
  BASIN_CHECK(x.size() == y.size() && per_point >= 1, x.size(), " x and ", y.size(), " y, ", per_point, " a point");
  std::vector<Point> points;
  for (size_t k = 0; k < x.size(); ++k) {
    const auto at = static_cast<size_t>(std::floor(x[k] / static_cast<double>(per_point)));
    if (at >= points.size()) points.resize(at + 1);
    points[at].Add(x[k], y[k]);
  }
  constexpr double kGap = std::numeric_limits<double>::quiet_NaN();
  Thinned thinned;
  for (const Point& point : points) {
    if (point.count == 0) continue;
    const auto count = static_cast<double>(point.count);
    thinned.x.push_back(point.sum_x / count);
    thinned.mean.push_back(point.finite ? point.sum_y / count : kGap);
    thinned.low.push_back(point.finite ? point.low : kGap);
    thinned.high.push_back(point.finite ? point.high : kGap);
  }
  return thinned;
}

}  // namespace basin::report
