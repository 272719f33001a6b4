// Mending a merged network whose activations have collapsed, by data: REPAIR and RESET (Jordan et al., arXiv 2211.08403),
// RESCALE and RESHIFT (Qu and Horvath, arXiv 2402.05966), each fused into plain weights. Without data: closed_form.h and
// calibrate.h. RESET alone is models::RecalibrateBatchNorm.
#pragma once

#include <span>
#include <vector>

#include "merge/activation_pass.h"

namespace basin::merge {

/// Mean and standard deviation of every hooked layer's output units (pre-activation), over batches and pixels, in layer
/// order. The last layer (the classifier) is left out.
struct ActivationStatistics {
  std::vector<torch::Tensor> mean, std;  ///< one an layer: float64 [units]
};

/// Batch-norm layers work with batch statistics meanwhile, all others in eval mode; hooks, running statistics and modes
/// are as before afterwards, an exception's case included. ConfigError when a batch gives a unit fewer than two values.
ActivationStatistics MeasureActivations(models::Classifier& model, const models::BatchVisitor& batches,
                                        Pooling pooling = Pooling::kMeanOfBatches);

/// The targets for a merge of `parents`: mu* = sum_i w_i mu_i, sigma* = sum_i w_i sigma_i (of standard deviations, not of
/// variances; arXiv 2211.08403 section 3). Weights are used as they are, empty: all 1/n. For the point lambda of a line:
/// {1 - lambda, lambda}.
ActivationStatistics CombineStatistics(std::span<const ActivationStatistics> parents, std::span<const double> weights = {});

/// What is done to a layer's output x, with mean m and s = sqrt(Var x + eps) in the merged network.
enum class Correction {
  kRepair,   ///< (x - m) / s sigma* + mu*; fused: W' = g W, b' = mu* + g (b - m), g = sigma* / s
  kRescale,  ///< x / s sigma*, not centred; fused: g W, g b
  kReshift,  ///< x - m + mu*; fused: W, b - m + mu*
};

struct RenormaliseOptions {
  Correction correction = Correction::kRepair;
  /// Every unit of a layer gets the layer's mean sigma*, and its mean |mu*| with the unit's own sign; s stays the unit's.
  bool averaged = false;
  /// Layers are measured and mended one at a time, front to back, each over all batches (Pooling::kAllValues): later layers
  /// see fused weights, and without batch norm the result does not depend on how images are cut into batches. About half
  /// as many forward passes as there are layers. Otherwise one pass in which each batch is corrected by its own moments.
  bool sequential = false;
  double factor = 1;  ///< multiplies all targets
};

/// Brings the outputs of each layer of `merged` but the classifier to `target`, then recomputes batch-norm statistics over
/// the same batches. In place; parameters may be views of one flat vector. eps is 1e-5 of the target variance (gains stay
/// below 317 at any scale); a unit whose sigma* is 0 gets the gain 0. A layer without bias gets the gain alone, in the
/// pass too.
void Renormalise(models::Classifier& merged, const ActivationStatistics& target, const models::BatchVisitor& batches,
                 const RenormaliseOptions& options = {});
/// The same where the merged network's own statistics are known already, in no pass at all (closed_form.h). Batch-norm
/// statistics stay.
void RenormaliseFrom(models::Classifier& merged, const ActivationStatistics& target, const ActivationStatistics& now,
                     const RenormaliseOptions& options = {});

/// Renormalise with the defaults.
inline void Repair(models::Classifier& merged, const ActivationStatistics& target, const models::BatchVisitor& batches) {
  Renormalise(merged, target, batches);
}

}  // namespace basin::merge
