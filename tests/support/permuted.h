// Networks with their units shuffled, for tests and benches of alignment.
#pragma once

#include <torch/types.h>

#include <memory>
#include <string>

#include "base/seed.h"
#include "models/registry.h"
#include "models/state_dict.h"
#include "tests/support/tensors.h"

namespace basin::tests {

/// A network whose gains, biases and statistics differ from unit to unit, as after training.
inline std::shared_ptr<models::Classifier> RoughModel(const models::ModelOptions& options, const models::InputShape& input, uint64_t seed) {
  const torch::NoGradGuard no_grad;
  const auto model = models::MakeModel(options, input, 10);
  for (const models::NamedTensor& item : models::StateOf(*model)) {
    torch::Tensor tensor = item.tensor;
    if (!tensor.is_floating_point()) continue;
    const auto size = static_cast<double>(tensor.dim() > 1 ? tensor.numel() / tensor.size(0) : 100);
    const torch::Tensor noise = RandomTensor(tensor.sizes().vec(), seed++) / std::sqrt(size);
    tensor.copy_(models::IsBatchNormStatistic(item.name) ? noise.abs() + 0.5 : tensor.dim() > 1 ? noise : 1 + noise);
  }
  return model;
}

inline models::Permutations RandomPermutations(const models::PermutationSpec& spec, const models::StateDict& state, uint64_t seed) {
  models::Permutations permutations;
  uint64_t index = 0;
  for (const auto& [id, size] : models::ValidateSpec(spec, state)) {
    permutations[id] = torch::tensor(base::RandomPermutation(size, {seed, base::Purpose::kTest, index++}));
  }
  return permutations;
}

inline bool SameBits(const models::StateDict& a, const models::StateDict& b) {
  if (a.size() != b.size()) return false;
  for (size_t t = 0; t < a.size(); ++t) {
    if (a[t].name != b[t].name || !torch::equal(a[t].tensor, b[t].tensor)) return false;
  }
  return true;
}

}  // namespace basin::tests
