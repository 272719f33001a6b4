// Alignment by a straight-through estimator: permutations learnt from the loss halfway between the networks (Git Re-Basin, Ainsworth et
// al., arXiv 2209.04836, section 3.3).
#pragma once

#include <vector>

#include "merge/training_batches.h"
#include "merge/weight_matching.h"
#include "models/classifier.h"

namespace basin::merge {

struct StraightThroughOptions {
  double lr = 1e-2, momentum = 0.9;  ///< of SGD
  uint64_t seed = 0;                 ///< of weight matching's orders
  int max_sweeps = 100;              ///< of weight matching, each step
};

struct StraightThrough {
  models::Permutations permutations;  ///< of the step with the lowest loss (the first among equals); applied to B
  std::vector<double> losses;         ///< of every step: mean cross-entropy of its batch at (A + pi(B)) / 2
  int64_t best_step = 0;
};

/// Free weights theta, begun at A. Each step: pi = weight matching of B to theta, warm-started by the last pi; loss L at
/// (A + pi(B)) / 2; the gradient passes pi as if pi(B) were theta, so d L / d theta = (d L / d midpoint) / 2; SGD on theta.
/// `scratch` is left with the last step's weights; batch norm as in merge/midpoint.h. Deterministic: the same batches, seed and number
/// of threads give the same result. DataError when networks differ, or when a loss is not finite; CheckFailed without steps.
StraightThrough MatchStraightThrough(models::Classifier& scratch, const models::StateDict& a, const models::StateDict& b,
                                     const TrainingBatches& batches, const StraightThroughOptions& options = {});

}  // namespace basin::merge
