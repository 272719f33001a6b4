// Long curves as few points that hide no extreme value.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace basin::report {

/// A curve whose neighbouring values share a point: their mean, and the least and the largest of them.
struct Thinned {
  std::vector<double> x;                ///< mean of the x that share the point, ascending
  std::vector<double> mean, low, high;  ///< NaN where one of the values was not finite
};

/// How many units of x must share a point, so that `span` of them give at most `most_points`. At least 1.
int64_t UnitsPerPoint(int64_t span, int64_t most_points);

/// Values with the same floor(x / per_point) share a point; a point that would have no value is left out. x and y: of one length,
/// x >= 0, in any order (the tracks of several members may follow one another).
Thinned Thin(std::span<const double> x, std::span<const double> y, int64_t per_point);

}  // namespace basin::report
