// The exact half of augmentation: a drawn plan becomes pixels, by loops in place or by tensor operations.
#pragma once

#include <torch/types.h>

#include "data/augment_plan.h"

namespace basin::data {

/// In place. images: float32 [b, C, H, W] on the CPU, contiguous or channels_last.
void ApplyInPlace(torch::Tensor& images, const AugmentStep& step);

/// The same bits by tensor operations, on any device; the result is a new tensor of the same memory format.
torch::Tensor ApplyByTensors(const torch::Tensor& images, const AugmentStep& step);

}  // namespace basin::data
