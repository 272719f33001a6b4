// More than two networks: each is matched to the mean of the others, again and again (MergeMany, Ainsworth et al., arXiv 2209.04836).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "merge/weight_matching.h"

namespace basin::merge {

struct ManyOptions {
  uint64_t seed = 0;     ///< of the order in which networks are visited, and of each matching
  int max_rounds = 100;
  int starts = 1;        ///< of each matching, shared out
};

struct ManyMatching {
  std::vector<models::Permutations> permutations;  ///< one a network, to be applied to it as it came
  int rounds = 0;                                  ///< the last one, which found nothing, included
  bool converged = true;
};

/// Each round visits the networks in a random order; each takes the permutation that weight matching finds towards the mean of the
/// others as they lie, when that brings it nearer by more than 1e-12. Ends after a round without progress. The visits depend on each
/// other; the starts of a matching are the tasks of `share`. Errors as MatchWeights; CheckFailed without networks.
ManyMatching MatchMany(const models::PermutationSpec& spec, std::span<const models::StateDict> networks, const ManyOptions& options = {},
                       const TaskShare& share = DoneHere());

}  // namespace basin::merge
