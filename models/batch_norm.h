// Batch-norm statistics are not parameters: an average of networks needs them recomputed.
#pragma once

#include <torch/nn.h>

#include <functional>
#include <optional>

#include "models/classifier.h"

namespace basin::models {

bool HasBatchNorm(const torch::nn::Module& module);

/// Calls its argument with each batch of images in turn ([n, C, H, W], normalised, on the model's device).
using BatchVisitor = std::function<void(const std::function<void(const torch::Tensor&)>&)>;

/// Resets running mean and variance of every batch-norm layer and recomputes them over the batches as a cumulative mean
/// (momentum = none: mean over batches of batch mean and unbiased batch variance; RESET of arXiv 2211.08403). Leaves the
/// model in eval mode, momentum as it was. No gradient. Without batch-norm layers it does nothing.
void RecalibrateBatchNorm(Classifier& model, const BatchVisitor& batches);

}  // namespace basin::models
