// More than two networks through a common universe, so that cycles of matchings compose to the identity (C2M3, Crisostomi et al.,
// arXiv 2405.17897).
#pragma once

#include <span>
#include <vector>

#include "merge/weight_matching.h"

namespace basin::merge {

struct UniverseOptions {
  int max_iterations = 200;
  int patience = 5;     ///< ends after so many iterations in a row that gain less than `least_gain` of the objective
  double least_gain = 1e-6;
};

struct UniverseMatching {
  std::vector<models::Permutations> permutations;  ///< one a network: applied, it lies in the universe
  double objective_before = 0;                     ///< sum over pairs p < q and tensors of <X_p, X_q>, X as the networks came
  double objective_after = 0;                      ///< with the permutations applied
  int iterations = 0;
};

/// Maximises f = sum_{p<q} <X_p, X_q>, X_m = network m with a doubly stochastic matrix on each id, by Frank and Wolfe's method from the
/// identity: each iteration the best permutation for the gradient of every (network, id), then one step length for all of them. On the
/// line f is a polynomial of twice the number of permuted axes of a tensor, so it is found from that many values and one, to 1e-3. In the
/// end the nearest permutations; when they are worse than the start, the start. Everything in float64.
///
/// Tasks of `share`: the (network, id) of an iteration, then the values on the line. Memory: three float64 copies of all networks.
/// CheckFailed as ValidateSpec; DataError when networks differ.
UniverseMatching MatchUniverse(const models::PermutationSpec& spec, std::span<const models::StateDict> networks,
                               const UniverseOptions& options = {}, const TaskShare& share = DoneHere());

}  // namespace basin::merge
