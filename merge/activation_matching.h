// Activation matching: units of B are permuted so that they do what A's do on the same images (Git Re-Basin, arXiv 2209.04836,
// section 3.1; REPAIR, arXiv 2211.08403).
#pragma once

#include <map>
#include <string>

#include "merge/activation_statistics.h"

namespace basin::merge {

enum class Similarity {
  kCorrelation,   ///< (E[a b] - E[a] E[b]) / (sigma_a sigma_b + epsilon) (REPAIR)
  kSecondMoment,  ///< E[a b] (Git Re-Basin)
};

/// float64 [n, n], row: unit of A, column: unit of B. A unit that never changes has correlation 0 with every other, one that is never
/// active has second moment 0. `epsilon` is in squared units of activation.
torch::Tensor SimilarityOf(const PairStatistics& statistics, const std::string& id, Similarity similarity, double epsilon = 1e-4);

struct ActivationMatching {
  models::Permutations permutations;  ///< all ids; applied to B
  struct Mean {
    double before = 0, after = 0;  ///< similarity of the units paired by number, and by the permutation; mean over the units
  };
  std::map<std::string, Mean> similarity;
};

/// For each id the permutation with the largest sum of similarities. Ids are independent of one another: one assignment each.
ActivationMatching MatchActivations(const PairStatistics& statistics, Similarity similarity = Similarity::kCorrelation);

}  // namespace basin::merge
