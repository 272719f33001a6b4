// Whether networks have the same tensors, and where each keeps them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace basin::base {

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

}  // namespace basin::base
