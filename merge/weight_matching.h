// Weight matching: units of B are permuted so that its weights lie close to A's (Git Re-Basin, Ainsworth et al., arXiv 2209.04836).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "merge/tasks.h"
#include "models/state_dict.h"

namespace basin::merge {

struct WeightMatchingOptions {
  uint64_t seed = 0;     ///< of the orders in which ids are visited
  int starts = 1;        ///< searches with different orders; the best objective wins, the lowest start among equals
  int max_sweeps = 100;
  /// Ids that share no tensor are matched at the same time, class after class of a greedy colouring. As monotone as one by one, but another order, so perhaps another optimum.
  bool coloured = false;
  models::Permutations warm{};  ///< where to begin; ids left out: the identity
};

/// What a search did.
struct Matching {
  models::Permutations permutations;  ///< all ids of the specification; applied to B
  /// sum over trainable tensors of the specification of <A, pi(B)>, before: with B as it is.
  double objective_before = 0, objective_after = 0;
  /// |A - pi(B)|^2 over all trainable tensors.
  double distance_squared_before = 0, distance_squared_after = 0;
  int sweeps = 0;             ///< the last one, which found nothing, included
  bool converged = true;      ///< false: max_sweeps came first
  int start = 0;              ///< the one that won
  struct Step {
    std::string id;
    double gain;  ///< of the objective; > 0
  };
  std::vector<Step> steps;    ///< accepted ones, in order
};

/// Coordinate descent: each sweep visits the ids in a fresh random order, and each takes the permutation that is best with all others
/// fixed, when that is better by more than 1e-12 (times the larger of 1 and the id's objective: what float64 can tell).
/// Ends after a sweep without progress, with a local optimum. Everything in float64. Batch-norm statistics move with their units
/// but have no say. Starts are the tasks of `share`.
/// CheckFailed as ValidateSpec; DataError when the networks differ in a tensor's name, shape or type.
Matching MatchWeights(const models::PermutationSpec& spec, const models::StateDict& a, const models::StateDict& b,
                      const WeightMatchingOptions& options = {}, const TaskShare& share = DoneHere());

/// Each pair's B to its A, as if one after another; pairs and starts together are the tasks of `share`. The networks are borrowed.
struct NetworkPair {
  const models::StateDict* a;
  const models::StateDict* b;
};
std::vector<Matching> MatchWeightsOfPairs(const models::PermutationSpec& spec, std::span<const NetworkPair> pairs,
                                          const WeightMatchingOptions& options = {}, const TaskShare& share = DoneHere());

/// <A, B> over the trainable tensors of the specification, in float64.
double WeightObjective(const models::PermutationSpec& spec, const models::StateDict& a, const models::StateDict& b);

}  // namespace basin::merge
