// One-shot magnitude pruning. What it does to activations is mended by renormalise.h with the dense network as the target
// (Qu and Horvath, arXiv 2402.05966, section on pruning): its corrections multiply rows, so zeros stay zeros.
#pragma once

#include <string>
#include <vector>

#include "models/state_dict.h"

namespace basin::merge {

enum class PruneScope {
  kGlobal,  ///< one threshold for all weight matrices together
  kLayer,   ///< the same share of each
};

struct PrunedLayer {
  std::string name;  ///< e.g. "layer1.0.conv1"
  int64_t elements = 0, zeros = 0;
};

/// Sets the round(sparsity x elements) weights of smallest magnitude to zero, in place; of equal magnitudes first those of the
/// earlier layer, then of the lower index. Prunable are the weight matrices (WeightMatrices: convolutions and linear layers,
/// the classifier included); biases and norms are not. float32 on the CPU, contiguous. ConfigError unless 0 <= sparsity <= 1.
std::vector<PrunedLayer> PruneByMagnitude(const models::StateDict& state, double sparsity, PruneScope scope);

}  // namespace basin::merge
