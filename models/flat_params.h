// A module's trainable weights as one [P] vector. The currency of the house: averaging, pulling, shuffling,
// checkpointing and the optimiser step are each one operation on it.
#pragma once

#include <torch/nn.h>

#include <cstdint>
#include <string>
#include <vector>

namespace basin::models {

/// Where one trainable tensor lies in [P].
struct ParameterSlot {
  std::string name;            ///< torchvision's name, e.g. "layer1.0.conv1.weight"
  int64_t offset = 0;          ///< elements
  std::vector<int64_t> shape;
  int64_t num_elements = 0;
};

/// Owns the flat value and gradient vectors; the module's parameters and their .grad become views into them.
/// Order: the module's registration order, row-major within a tensor; tied weights (one storage) appear once; only
/// parameters with requires_grad. The module must not replace its parameters afterwards (no .to(device)).
class FlatParams {
 public:
  /// Moves the values of the module's parameters (float32) into one vector and re-points them.
  explicit FlatParams(torch::nn::Module& module);

  torch::Tensor& values() { return values_; }        ///< [P] float32
  const torch::Tensor& values() const { return values_; }
  torch::Tensor& gradients() { return gradients_; }  ///< [P] float32
  int64_t size() const { return values_.numel(); }   ///< P
  const std::vector<ParameterSlot>& slots() const { return slots_; }
  /// xxh64 over names, shapes and order: equal on two ranks if and only if their [P] mean the same.
  uint64_t layout_hash() const { return layout_hash_; }
  /// xxh64 of the P float32 values (bytes in memory order). Copies from a GPU when needed.
  uint64_t values_hash() const;

 private:
  torch::Tensor values_, gradients_;
  std::vector<ParameterSlot> slots_;
  uint64_t layout_hash_ = 0;
};

}  // namespace basin::models
