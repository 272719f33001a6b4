#include "trainer/optimizer.h"

#include <ATen/ops/_fused_adam.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/_fused_sgd.h>

#include <algorithm>

namespace basin::trainer {

int NumMoments(const OptimizerOptions& options) {
  if (options.kind != OptimizerOptions::Kind::kSgd) return 2;
  return options.momentum > 0 ? 1 : 0;
}

Optimizer::Optimizer(const OptimizerOptions& options, const models::FlatParams& params)
    : options_(options) {
  for (int k = 0; k < NumMoments(options); ++k) moments_.push_back(torch::zeros_like(params.values()));
  if (options.kind != OptimizerOptions::Kind::kSgd) step_ = torch::zeros({}, params.values().options());
}

void Optimizer::RestoreStepsTaken(int64_t steps) {
  steps_taken_ = steps;
  // The kernels' float32 counter stands still at 2^24, as it does when it counts.
  if (step_.defined()) step_.fill_(static_cast<double>(std::min<int64_t>(steps, int64_t{1} << 24)));
}

void Optimizer::Step(models::FlatParams& params, double lr) {
  const torch::NoGradGuard no_grad;
  ++steps_taken_;
  const std::vector<torch::Tensor> values{params.values()}, gradients{params.gradients()};
  if (options_.kind == OptimizerOptions::Kind::kSgd) {
    // A zero momentum buffer and dampening 0 make the first step like any other: v = mu 0 + g.
    at::_fused_sgd_(values, gradients, moments_, options_.weight_decay, options_.momentum, lr,
                    /*dampening=*/0, options_.nesterov, /*maximize=*/false, /*is_first_step=*/false);
    return;
  }
  step_.add_(1);
  const std::vector<torch::Tensor> first{moments_[0]}, second{moments_[1]}, steps{step_};
  const auto update = [&](auto&& fused) {
    fused(values, gradients, first, second, /*max_exp_avg_sqs=*/at::TensorList{}, steps, lr, options_.beta1,
          options_.beta2, options_.weight_decay, options_.eps, /*amsgrad=*/false, /*maximize=*/false);
  };
  if (options_.kind == OptimizerOptions::Kind::kAdamW) {
    update([](auto&&... a) { at::_fused_adamw_(std::forward<decltype(a)>(a)...); });
  } else {
    update([](auto&&... a) { at::_fused_adam_(std::forward<decltype(a)>(a)...); });
  }
}

}  // namespace basin::trainer
