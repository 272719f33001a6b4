// CCA-Merge: the units of B are mixed linearly, by canonical correlation analysis, so that they do what A's do (Horoi et al., "Harmony in
// Diversity", arXiv 2407.05385).
#pragma once

#include <map>
#include <string>

#include "merge/activation_statistics.h"

namespace basin::merge {

/// float64 [n, n] each. With activations as rows: Y map is as close to X as ridge allows; map x inverse = 1.
struct LinearMap {
  torch::Tensor map, inverse;
};

/// With covariances S_xx, S_yy of A and B, each plus ridge times its mean variance on the diagonal, and U S V^T = svd(S_xx^-1/2 S_xy S_yy^-1/2):
/// map = S_yy^-1/2 V U^T S_xx^1/2, inverse = S_xx^-1/2 U V^T S_yy^1/2. Needs full statistics (CheckFailed). DataError when a covariance
/// is singular for lack of a ridge.
LinearMap CcaMap(const PairStatistics& statistics, const std::string& id, double ridge = 1e-3);
/// Of all ids.
std::map<std::string, LinearMap> CcaMaps(const PairStatistics& statistics, double ridge = 1e-3);

/// B with mixed units: axis 0 (whoever makes the units) times map, other axes (whoever takes them) times inverse; running variances times
/// map squared. Exactly B's function where map is a permutation, or where nothing but linear layers touches the units; a ReLU and a norm's
/// gain do not commute with a mixture, so elsewhere it is another function that only the average is meant for, and batch norm needs its
/// statistics recomputed after that. Computed in float64, rounded once. CheckFailed as ValidateSpec, or when a map's size is wrong.
models::StateDict ApplyMaps(const models::PermutationSpec& spec, const std::map<std::string, LinearMap>& maps, const models::StateDict& state);

}  // namespace basin::merge
