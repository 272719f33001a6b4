// The same tensors of several networks, side by side.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/average.h"
#include "models/state_dict.h"

namespace basin::merge {

/// One tensor's versions, one a network, on the CPU and contiguous.
struct Versions {
  std::string name;
  std::vector<torch::Tensor> tensors;
  base::Columns columns() const;  ///< borrows from tensors
};
/// In the order of the first network. DataError as base::MatchTensors, labels "network 0", ...
std::vector<Versions> MatchStates(std::span<const models::StateDict* const> states);

}  // namespace basin::merge
