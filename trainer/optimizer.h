// One optimiser step over the flat vectors: LibTorch's fused kernels, one call for the whole member.
#pragma once

#include <vector>

#include "models/flat_params.h"
#include "trainer/config/config.h"

namespace basin::trainer {

/// [P] vectors that the optimiser keeps. SGD: 1 (none when momentum is 0). Adam, AdamW: 2.
int NumMoments(const OptimizerOptions& options);

/// SGD with momentum, Adam or AdamW (decoupled decay, arXiv 1711.05101) as in torch.optim. Moments are [P] float32 on the
/// parameters' device and exist from the start (zero), so that strategies and checkpoints always find them.
class Optimizer {
 public:
  Optimizer(const OptimizerOptions& options, const models::FlatParams& params);

  /// values <- update(values, gradients); gradients stay as they are.
  void Step(models::FlatParams& params, double lr);

  /// NumMoments of them. SGD: momentum. Adam, AdamW: first and second moment.
  std::vector<torch::Tensor>& moments() { return moments_; }
  int64_t steps_taken() const { return steps_taken_; }
  /// For a resumed run, whose moments are restored in place.
  void RestoreStepsTaken(int64_t steps);

 private:
  OptimizerOptions options_;
  std::vector<torch::Tensor> moments_;
  torch::Tensor step_;  // float32 scalar that the fused Adam kernels count with
  int64_t steps_taken_ = 0;
};

}  // namespace basin::trainer
