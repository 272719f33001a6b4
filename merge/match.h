// Whether networks have the same tensors, and where each keeps them.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "merge/average_kernel.h"
#include "models/state_dict.h"

namespace basin::merge {

struct TensorSignature {
  std::string name, type;  ///< type as text, e.g. "F32"
  std::vector<int64_t> shape;
};
struct NetworkSignature {
  std::string label;  ///< of the network, for messages: a file's name or "network 2"
  std::vector<TensorSignature> tensors;
};

/// places[t][k]: index in network k of the tensor that is t-th in the first. DataError naming network and tensors when
/// names, shapes or types differ. Order does not matter.
std::vector<std::vector<size_t>> MatchTensors(const std::vector<NetworkSignature>& networks);

/// One tensor's versions, one a network, on the CPU and contiguous.
struct Versions {
  std::string name;
  std::vector<torch::Tensor> tensors;
  Columns columns() const;  ///< borrows from tensors
};
/// In the order of the first network. DataError as MatchTensors, labels "network 0", ...
std::vector<Versions> MatchStates(std::span<const models::StateDict* const> states);

}  // namespace basin::merge
