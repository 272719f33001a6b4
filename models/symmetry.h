// Permutation specifications: which axes of which tensors carry the same hidden units (Ainsworth et al., arXiv 2209.04836).
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace basin::models {

struct NamedTensor {
  std::string name;
  torch::Tensor tensor;
};
/// Parameters and buffers by name, in the module's registration order. See models/state_dict.h.
using StateDict = std::vector<NamedTensor>;

/// For each tensor one entry an axis: a permutation's id, or "" for an axis that may not be permuted. Batch-norm statistics
/// carry ids too (they move with their units). Tensors without any id may be left out.
class PermutationSpec {
 public:
  void Add(std::string tensor, std::vector<std::string> axes);
  const std::map<std::string, std::vector<std::string>>& axes() const { return axes_; }
  struct Place {
    std::string tensor;
    int64_t axis;
  };
  /// All places of each id.
  std::map<std::string, std::vector<Place>> Places() const;

 private:
  std::map<std::string, std::vector<std::string>> axes_;
};

/// id -> index vector pi, int64 [n]; applying: new[i] = old[pi[i]] along every axis with that id.
using Permutations = std::map<std::string, torch::Tensor>;

/// Size of each id. Throws CheckFailed naming tensor and axis when the spec does not fit the state: unknown tensor, wrong
/// number of axes, two sizes for one id, one id on two axes of a tensor, an id with no producer (axis 0) or no consumer.
std::map<std::string, int64_t> ValidateSpec(const PermutationSpec& spec, const StateDict& state);

/// A permuted copy; tensors without ids are shared, not copied. Missing ids count as the identity.
StateDict ApplyPermutations(const PermutationSpec& spec, const Permutations& permutations,
                            const StateDict& state);

}  // namespace basin::models
