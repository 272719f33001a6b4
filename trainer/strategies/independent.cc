#include "trainer/strategies/independent.h"

#include <algorithm>

namespace basin::trainer {

void Independent::Begin(MemberState& member, comm::Communicator&) {
  if (options_.ema) average_ = member.weights.detach().clone();
}

void Independent::AfterStep(const StepInfo& step, MemberState& member, comm::CountingCommunicator&) {
  if (!options_.ema) return;
  const torch::NoGradGuard no_grad;
  const auto t = static_cast<double>(step.step);
  // A short memory first, so that the initial weights are forgotten in short runs as well.
  const double decay = std::min(*options_.ema, (1 + t) / (10 + t));
  average_.lerp_(member.weights, 1 - decay);
  if (step.step + 1 == shape_.total_steps) member.weights.copy_(average_);
}

Forecast Independent::Predict() const {
  return {.memory_bytes = options_.ema ? static_cast<double>(shape_.num_parameters) * sizeof(float) : 0};
}

std::vector<std::pair<std::string, torch::Tensor*>> Independent::State() {
  if (!options_.ema) return {};
  return {{"ema", &average_}};
}

}  // namespace basin::trainer
