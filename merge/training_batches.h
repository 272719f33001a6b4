// Images with labels for alignment that follows a loss.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <functional>

namespace basin::merge {

struct LabelledBatch {
  torch::Tensor images;  ///< [n, C, H, W] float32, normalised, on the network's device
  torch::Tensor labels;  ///< [n] int64, there too
};
/// What each step sees: a pure function of the step. n >= 2 with batch norm.
struct TrainingBatches {
  int64_t steps = 0;
  std::function<LabelledBatch(int64_t step)> at;
};

}  // namespace basin::merge
