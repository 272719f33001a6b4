// The loss halfway between two networks and its gradient: what alignment by data descends.
#pragma once

#include <map>
#include <string>

#include "merge/training_batches.h"
#include "models/classifier.h"

namespace basin::merge {

struct MidpointLoss {
  double loss = 0;                                ///< mean cross-entropy, nats
  std::map<std::string, torch::Tensor> gradient;  ///< of the loss by each trainable tensor at the midpoint, on its device
};

/// Puts (a + b) / 2 of the trainable tensors into `scratch` and runs the batch through it. Batch norm works with the batch's own
/// statistics (those of either end mean nothing at the midpoint), and what it writes to its running ones stays in `scratch`, as do
/// weights and mode. CheckFailed when a tensor is missing.
MidpointLoss LossAtMidpoint(models::Classifier& scratch, const models::StateDict& a, const models::StateDict& b, const LabelledBatch& batch);

}  // namespace basin::merge
