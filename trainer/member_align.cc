// A member's units in the order of another's: Member::AlignTo.
#include <map>

#include "merge/weight_matching.h"
#include "trainer/member.h"

namespace basin::trainer {
namespace {

/// The network's tensors, its parameters replaced by their places in a vector [P] (weights of another, or a moment).
models::StateDict WithParameters(const models::StateDict& state, const models::FlatParams& params, const torch::Tensor& vector) {
  std::map<std::string, const models::ParameterSlot*> slots;
  for (const models::ParameterSlot& slot : params.slots()) slots[slot.name] = &slot;
  models::StateDict replaced;
  for (const models::NamedTensor& item : state) {
    const auto slot = slots.find(item.name);
    const bool is_parameter = slot != slots.end();
    replaced.push_back({item.name, is_parameter ? vector.narrow(0, slot->second->offset, slot->second->num_elements).view(slot->second->shape) : item.tensor});
  }
  return replaced;
}

/// In place. Tensors whose storage is `kept`'s stay as they are.
void Permute(const models::PermutationSpec& spec, const models::Permutations& permutations, const models::StateDict& state,
             const models::StateDict& kept = {}) {
  const models::StateDict permuted = models::ApplyPermutations(spec, permutations, state);
  for (size_t k = 0; k < state.size(); ++k) {
    const bool stays = !kept.empty() && state[k].tensor.is_same(kept[k].tensor);
    if (!stays) torch::Tensor(state[k].tensor).copy_(permuted[k].tensor);
  }
}

}  // namespace

void Member::AlignTo(const torch::Tensor& reference) {
  const torch::NoGradGuard no_grad;
  const models::PermutationSpec spec = model_->symmetry();
  const models::StateDict own = models::StateOf(*model_);
  const models::StateDict fixed = models::CloneState(WithParameters(own, params_, reference));
  const models::Permutations permutations = merge::MatchWeights(spec, fixed, models::CloneState(own)).permutations;
  for (torch::Tensor& moment : optimizer_.moments()) Permute(spec, permutations, WithParameters(own, params_, moment), own);
  Permute(spec, permutations, own);
}

}  // namespace basin::trainer
