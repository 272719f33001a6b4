// What every architecture is to the rest of the house.
#pragma once

#include <torch/nn.h>

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "models/symmetry.h"

namespace basin::models {

enum class Norm { kBatch, kLayer, kNone };

/// Whose law the initial weights follow (models/registry.h, InitialiseWeights). kFile: they came with the network.
enum class InitialLaw { kPyTorch, kTorchvisionResNet, kTorchvisionVgg, kFile };

struct InputShape {
  int64_t channels = 3, height = 32, width = 32;  ///< pixels
};

/// Which network. Every field has a meaning for the architectures named beside it.
struct ModelOptions {
  std::string name = "resnet20";
  double width = 1;               ///< all but torchscript: channels (units) are round(width x the architecture's)
  Norm norm = Norm::kBatch;       ///< all but torchscript; layer: over channels at each pixel (permutation-invariant)
  std::vector<int64_t> hidden{};  ///< mlp: units of the hidden layers; empty: 512, 512, 512
  std::filesystem::path path{};   ///< torchscript: the file
};

/// Sees the units of a permutation id before their ReLU: x [n, units] or [n, units, H, W]. The ReLU may follow in place, so what is kept
/// must be a copy.
using UnitListener = std::function<void(const std::string& id, const torch::Tensor& x)>;

/// images [n, C, H, W] float32 -> logits [n, classes] float32.
class Classifier : public torch::nn::Module {
 public:
  virtual torch::Tensor forward(const torch::Tensor& images) = 0;
  /// Which axes of which tensors may be permuted together without changing the function. ConfigError when that is not known.
  virtual PermutationSpec symmetry() const = 0;
  /// True: forward is faster (and meant to be called) with channels_last images.
  virtual bool prefers_channels_last() const { return true; }
  /// False: its layers cannot be listened to or corrected one by one, and HookedLayers refuses it.
  virtual bool layers_are_known() const { return true; }
  virtual InitialLaw initial_law() const { return InitialLaw::kPyTorch; }

  /// Called in forward once for each id of symmetry(), after the norm and before a pool. A residual stream's id: the sum after
  /// its last block (after the stem where no block follows on it). Empty: no effect, no cost.
  UnitListener listener;
};

}  // namespace basin::models
