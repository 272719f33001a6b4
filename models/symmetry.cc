#include "models/symmetry.h"

#include <set>
#include <utility>

#include "base/error.h"

namespace basin::models {
namespace {

/// Which of the two roles an id has been seen in.
struct Roles {
  bool producer = false, consumer = false;
};

void CheckTensor(const std::string& name, const std::vector<std::string>& ids, const torch::Tensor& tensor,
                 std::map<std::string, int64_t>& sizes, std::map<std::string, Roles>& roles) {
  BASIN_CHECK(static_cast<int64_t>(ids.size()) == tensor.dim(), "specification: tensor ", name, " has ", tensor.dim(),
              " axes, its entry names ", ids.size());
  std::set<std::string> seen;
  for (size_t axis = 0; axis < ids.size(); ++axis) {
    const std::string& id = ids[axis];
    if (id.empty()) continue;
    BASIN_CHECK(seen.insert(id).second, "specification: id ", id, " sits on two axes of tensor ", name, ", the second is axis ",
                axis, "; matching would be a quadratic problem");
    const int64_t size = tensor.size(static_cast<int64_t>(axis));
    const auto [known, is_new] = sizes.try_emplace(id, size);
    BASIN_CHECK(known->second == size, "specification: id ", id, " has ", size, " units on axis ", axis, " of tensor ", name,
                " but ", known->second, " elsewhere");
    (axis == 0 ? roles[id].producer : roles[id].consumer) = true;
  }
}

/// Throws unless pi is a permutation of 0..n-1.
void CheckPermutation(const std::string& id, const torch::Tensor& pi, int64_t n) {
  BASIN_CHECK(pi.dim() == 1 && pi.scalar_type() == torch::kInt64 && pi.numel() == n, "permutation ", id, " is ", pi.scalar_type(),
              " of shape ", pi.sizes(), "; it must be int64 [", n, "]");
  const torch::Tensor host = pi.cpu().contiguous();
  std::vector<bool> used(static_cast<size_t>(n), false);
  for (int64_t i = 0; i < n; ++i) {
    const int64_t value = host.const_data_ptr<int64_t>()[i];
    BASIN_CHECK(value >= 0 && value < n && !used[static_cast<size_t>(value)], "permutation ", id, " has ", value, " at place ", i,
                ": not a permutation of 0..", n - 1);
    used[static_cast<size_t>(value)] = true;
  }
}

}  // namespace

void PermutationSpec::Add(std::string tensor, std::vector<std::string> axes) {
  const auto [place, is_new] = axes_.emplace(std::move(tensor), std::move(axes));
  BASIN_CHECK(is_new, "specification: tensor ", place->first, " is named twice");
}

std::map<std::string, std::vector<PermutationSpec::Place>> PermutationSpec::Places() const {
  std::map<std::string, std::vector<Place>> places;
  for (const auto& [tensor, ids] : axes_) {
    for (size_t axis = 0; axis < ids.size(); ++axis) {
      if (!ids[axis].empty()) places[ids[axis]].push_back({tensor, static_cast<int64_t>(axis)});
    }
  }
  return places;
}

std::map<std::string, int64_t> ValidateSpec(const PermutationSpec& spec, const StateDict& state) {
  std::map<std::string, const torch::Tensor*> tensors;
  for (const NamedTensor& item : state) tensors[item.name] = &item.tensor;
  std::map<std::string, int64_t> sizes;
  std::map<std::string, Roles> roles;
  for (const auto& [name, ids] : spec.axes()) {
    const auto found = tensors.find(name);
    BASIN_CHECK(found != tensors.end(), "specification: tensor ", name, " is not in the state");
    CheckTensor(name, ids, *found->second, sizes, roles);
  }
  const auto places = spec.Places();
  for (const auto& [id, role] : roles) {
    const PermutationSpec::Place& place = places.at(id).front();
    BASIN_CHECK(role.producer, "specification: id ", id, " (axis ", place.axis, " of tensor ", place.tensor,
                ") has no producer: it is on axis 0 of no tensor");
    BASIN_CHECK(role.consumer, "specification: id ", id, " (axis ", place.axis, " of tensor ", place.tensor,
                ") has no consumer: it is on no axis but 0");
  }
  return sizes;
}

StateDict ApplyPermutations(const PermutationSpec& spec, const Permutations& permutations, const StateDict& state) {
  torch::NoGradGuard no_grad;
  const std::map<std::string, int64_t> sizes = ValidateSpec(spec, state);
  for (const auto& [id, pi] : permutations) {
    const auto size = sizes.find(id);
    BASIN_CHECK(size != sizes.end(), "permutation ", id, " is not an id of the specification");
    CheckPermutation(id, pi, size->second);
  }
  StateDict result;
  result.reserve(state.size());
  for (const NamedTensor& item : state) {
    torch::Tensor tensor = item.tensor;
    const auto entry = spec.axes().find(item.name);
    if (entry != spec.axes().end()) {
      tensor = tensor.detach().clone();
      for (size_t axis = 0; axis < entry->second.size(); ++axis) {
        const auto pi = permutations.find(entry->second[axis]);
        if (pi == permutations.end()) continue;
        tensor = tensor.index_select(static_cast<int64_t>(axis), pi->second.to(tensor.device()));
      }
    }
    result.push_back({item.name, tensor});
  }
  return result;
}

}  // namespace basin::models
