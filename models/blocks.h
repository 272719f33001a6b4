// What several architectures share: scaled widths, a norm of the chosen kind, a convolution before a norm, and the rows of
// a permutation specification that these need. An architecture's own structure lives in its own file.
#pragma once

#include <torch/nn.h>

#include <string>

#include "models/classifier.h"
#include "models/layers.h"
#include "models/symmetry.h"

namespace basin::models {

/// round(width x units). ConfigError when that leaves none or is beyond all reason (2^20).
int64_t ScaledUnits(const ModelOptions& options, int64_t units);

struct ConvShape {
  int64_t in, out;         ///< channels
  int64_t kernel = 3;      ///< pixels, odd; padding keeps the size at stride 1
  int64_t stride = 1;
};
Conv2d MakeConv(const ConvShape& shape, bool bias);

/// Batch norm, channel layer norm or nothing, behind one call.
class NormLayer {
 public:
  NormLayer() = default;
  /// dims: 1 for [n, C] (units), 2 for [n, C, H, W] (channels).
  NormLayer(Norm norm, int64_t channels, int dims);
  /// Registers the layer as `name`; without a norm nothing.
  void RegisterIn(torch::nn::Module& parent, const std::string& name);
  /// Without a norm x itself, not a copy. ConfigError: batch norm in train mode over one value a unit.
  torch::Tensor operator()(const torch::Tensor& x);

 private:
  torch::nn::BatchNorm1d batch1d_{nullptr};
  torch::nn::BatchNorm2d batch2d_{nullptr};
  ChannelLayerNorm layer_{nullptr};
};

/// Permutation ids on the two sides of a layer; "" for a side that may not be permuted.
struct LayerIds {
  std::string out, in;
};
void AddConv(PermutationSpec& spec, const std::string& name, const LayerIds& ids, bool bias);
void AddLinear(PermutationSpec& spec, const std::string& name, const LayerIds& ids);
/// Gain, bias and, for batch norm, the running statistics.
void AddNorm(PermutationSpec& spec, const std::string& name, Norm norm, const std::string& id);

/// [n, C, H, W] in the memory format channels_last, so that all layers after it keep to it.
torch::Tensor ChannelsLast(const torch::Tensor& images);
/// Tells the listener, if there is one. Returns x.
inline torch::Tensor& Heard(const UnitListener& listener, const std::string& id, torch::Tensor& x) {
  if (listener) listener(id, x);
  return x;
}
/// [n, C, H, W] -> [n, C]
torch::Tensor GlobalMean(const torch::Tensor& x);

}  // namespace basin::models
