// The straight line between two networks and the height of the loss on it.
#pragma once

#include <span>
#include <vector>

#include "models/state_dict.h"

namespace basin::merge {

/// (1 - lambda) a + lambda b for floating tensors (batch-norm statistics too), computed in double; integers: the
/// larger. lambda = 0 and 1 return a and b bit for bit. DataError when the networks do not match.
models::StateDict Interpolate(const models::StateDict& a, const models::StateDict& b, double lambda);

/// lambda_k = k / (points - 1), points >= 2; both ends exact.
std::vector<double> Lambdas(int points);

struct PathPoint {
  double lambda = 0, loss = 0, accuracy = 0;  ///< loss in nats a sample, accuracy a fraction
};

/// Three definitions in use (docs/strategies.md): always say which.
struct Barriers {
  double max_mean = 0;  ///< B1: max_l L(l) - (L(0) + L(1)) / 2 (Git Re-Basin)
  double linear = 0;    ///< B2: max_l [L(l) - ((1-l) L(0) + l L(1))] (Entezari et al.)
  double mid = 0;       ///< B3: L(1/2) - (L(0) + L(1)) / 2; without a point at 1/2: linear between its neighbours
  double accuracy_max_mean = 0;  ///< (a(0) + a(1)) / 2 - min_l a(l)
};
/// `curve` ascending in lambda, first 0, last 1.
Barriers MeasureBarriers(std::span<const PathPoint> curve);

}  // namespace basin::merge
