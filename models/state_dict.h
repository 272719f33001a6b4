// A network's named tensors: out of a module, into a module, to and from safetensors with torchvision's names.
#pragma once

#include <torch/nn.h>

#include <filesystem>
#include <map>
#include <string>

#include "base/files.h"
#include "models/symmetry.h"

namespace basin::models {

/// Parameters and buffers of the module, detached, sharing its storage; tied weights once. Order: for each submodule in
/// registration order its parameters, then its buffers (as Python's state_dict).
StateDict StateOf(const torch::nn::Module& module);
/// Deep copy on the CPU, contiguous.
StateDict CloneState(const StateDict& state);
/// Copies every tensor into the module. DataError listing missing, unexpected and misshapen names; `source` names the file.
void LoadState(torch::nn::Module& module, const StateDict& state, const std::string& source = "state");
/// nullptr when there is none of this name.
const torch::Tensor* FindTensor(const StateDict& state, const std::string& name);

/// Atomic. Metadata gets {"format": "pt"}. Returns size and checksum of the file.
base::FileDigest SaveState(const std::filesystem::path& path, const StateDict& state,
                           const std::map<std::string, std::string>& metadata = {});
/// Tensors are copies, in the file's order. Non-finite values in a floating tensor: DataError naming it.
StateDict ReadState(const std::filesystem::path& path);

/// Trainable floating tensors, as opposed to buffers: by name suffix running_mean, running_var, num_batches_tracked.
bool IsBatchNormStatistic(const std::string& name);

}  // namespace basin::models
