// How far two networks are from each other, layer by layer.
#pragma once

#include <cmath>
#include <string>
#include <vector>

#include "models/state_dict.h"

namespace basin::merge {

struct LayerDistance {
  std::string name;      ///< of the module, e.g. "layer1.0.conv1"; its weight and bias together
  double l2_squared = 0;
};
/// Over trainable tensors (batch-norm statistics excluded), in double. Papers print the norm or its square: say which.
struct Distance {
  std::vector<LayerDistance> layers;  ///< in the order of `a`
  double l2_squared = 0;              ///< sum over the layers
  double l2() const { return std::sqrt(l2_squared); }
};
/// DataError when the networks do not match.
Distance MeasureDistance(const models::StateDict& a, const models::StateDict& b);

/// "layer1.0.conv1.weight" -> "layer1.0.conv1"
std::string LayerOf(const std::string& tensor);

}  // namespace basin::merge
