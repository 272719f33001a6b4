// Mending a merged network whose activations have collapsed: REPAIR and RESET (Jordan et al., arXiv 2211.08403).
#pragma once

#include <vector>

#include "models/batch_norm.h"
#include "models/classifier.h"

namespace basin::merge {

/// Mean and standard deviation of every hooked layer's output units (pre-activation), over batches and pixels, in layer
/// order. The last layer (the classifier) is left out.
struct ActivationStatistics {
  std::vector<torch::Tensor> mean, std;  ///< one an layer: float64 [units]
};

/// Mean over the batches of batch mean and unbiased batch variance. Batch-norm layers work with batch statistics
/// meanwhile, all others in eval mode; hooks, running statistics and modes are as before afterwards, an exception's
/// case included. ConfigError when a batch gives a unit fewer than two values.
ActivationStatistics MeasureActivations(models::Classifier& model, const models::BatchVisitor& batches);

/// REPAIR: the output of each layer of `merged` is brought to `target` (mean of the parents' means and of their
/// standard deviations) while the batches run through it once, as above, so that later layers see corrected inputs;
/// then fused into the weights in place: W' = g W, b' = target mean + g (b - mean), g = target std / sqrt(var + eps),
/// where eps is 1e-5 of the target variance (gains stay below 317 at any scale). A layer without bias gets the gain
/// alone, in the pass too. Batch-norm statistics are recomputed afterwards over the same batches.
void Repair(models::Classifier& merged, const ActivationStatistics& target, const models::BatchVisitor& batches);

}  // namespace basin::merge
