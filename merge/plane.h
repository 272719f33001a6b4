// The plane through three networks: where the loss lies low between them (Garipov et al., arXiv 1802.10026, section 3).
#pragma once

#include <array>
#include <vector>

#include "models/state_dict.h"

namespace basin::merge {

struct PlanePoint {
  double x = 0, y = 0;  ///< lengths in weight space
};

/// Coordinates by Gram-Schmidt over the trainable tensors: A in the origin, B on the x axis, C above it. A point is
/// a + x u + y v = (1 - s - t) a + s b + t c, so batch-norm statistics are combined with the same weights as all else
/// (a variance that this would make negative becomes 0).
class Plane {
 public:
  /// Borrows nothing. DataError when the networks do not match, ConfigError when they lie on one line (or two are the same).
  Plane(const models::StateDict& a, const models::StateDict& b, const models::StateDict& c);

  const std::array<PlanePoint, 3>& corners() const { return corners_; }
  /// Weights of a, b, c at a point; they sum to 1.
  std::array<double, 3> WeightsAt(const PlanePoint& point) const;
  /// Computed in double; corners are exact. Integer tensors: the largest.
  models::StateDict At(const PlanePoint& point) const;

 private:
  std::array<models::StateDict, 3> networks_;  // tensors shared with the arguments
  std::array<PlanePoint, 3> corners_;
};

/// points x points, row by row from the lowest y, over the corners' bounding box widened on each side by `margin` of its size.
std::vector<PlanePoint> GridAround(const Plane& plane, int points, double margin);

}  // namespace basin::merge
