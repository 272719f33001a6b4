// Sinkhorn re-basin: permutations learnt by gradient descent on doubly stochastic matrices (Guerrero Pena et al., "Re-basin via implicit
// Sinkhorn differentiation", arXiv 2212.12042).
#pragma once

#include <torch/types.h>

#include <optional>
#include <vector>

#include "merge/training_batches.h"
#include "merge/weight_matching.h"
#include "models/classifier.h"

namespace basin::merge {

/// P = lim of normalising the rows and the columns of exp(-cost / tau) in turn, after `iterations` of both, in the log domain. cost [n, n]
/// float64 -> [n, n]; columns sum to 1 exactly, rows as nearly as the iterations take them.
///
/// Differentiable by cost (once). The backward pass does not unroll the iterations: with M = -cost / tau, at the fixed point
/// dP = P o (dM + alpha 1^T + 1 beta^T), where alpha and beta keep the sums r = P 1, c = P^T 1. So for G = dL/dP and H = P o G,
/// dL/dM = H - P o (x 1^T + 1 y^T) with [diag(r) P; P^T diag(c)] [x; y] = [H 1; H^T 1]; one linear system of n - 1 unknowns, after y_n = 0
/// (the system is singular along (1, -1)) and x eliminated. Exact where the iterations have converged.
torch::Tensor Sinkhorn(const torch::Tensor& cost, double tau, int iterations);
/// The same by differentiating every iteration: what the above is tested against.
torch::Tensor SinkhornUnrolled(const torch::Tensor& cost, double tau, int iterations);

struct SinkhornOptions {
  double tau = 1;
  int iterations = 20;
  double lr = 0.1;            ///< of AdamW (betas 0.9, 0.999; weight decay 0.01)
  int64_t weight_steps = 100; ///< without batches
  double start = 2;           ///< cost of the pairs of `warm` is -start, of the others 0
  models::Permutations warm{};  ///< where to begin; ids left out: the identity
};

struct SinkhornMatching {
  models::Permutations permutations;  ///< hardened by assignment; of the step whose hardened loss was lowest (the first among equals)
  std::vector<double> soft, hard;     ///< of every step: the loss at the soft and at the hardened permutations
  int64_t best_step = 0;
};

/// One free matrix an id. Without `batches` the loss is |A - P(B)|^2 / |A - B|^2 over the trainable tensors of `network`'s specification; with
/// them it is the mean cross-entropy at (A + P(B)) / 2, a batch a step (batch norm as in merge/midpoint.h; `network` is scratch space for it).
/// Everything but the network's own pass in float64. DataError when networks differ or a loss is not finite.
SinkhornMatching MatchSinkhorn(models::Classifier& network, const models::StateDict& a, const models::StateDict& b,
                               const SinkhornOptions& options = {}, const std::optional<TrainingBatches>& batches = std::nullopt);

}  // namespace basin::merge
