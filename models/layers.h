// The layers that all architectures are built from: LibTorch's own, plus a place to listen at or to correct their outputs.
#pragma once

#include <torch/nn.h>

#include <functional>
#include <vector>

#include "models/classifier.h"

namespace basin::models {

/// Sees a layer's pre-activation output and returns what goes on instead. Channels are axis 1. Empty: no effect, no cost.
using OutputHook = std::function<torch::Tensor(const torch::Tensor&)>;

/// torch::nn::Conv2d with a hook. Square kernels.
class Conv2dImpl : public torch::nn::Conv2dImpl {
 public:
  using torch::nn::Conv2dImpl::Conv2dImpl;
  torch::Tensor forward(const torch::Tensor& x);
  OutputHook hook;
};
TORCH_MODULE(Conv2d);

/// torch::nn::Linear with a hook.
class LinearImpl : public torch::nn::LinearImpl {
 public:
  using torch::nn::LinearImpl::LinearImpl;
  torch::Tensor forward(const torch::Tensor& x);
  OutputHook hook;
};
TORCH_MODULE(Linear);

/// A layer whose output can be listened to, in forward order of registration.
struct HookedLayer {
  std::string name;          ///< e.g. "layer1.0.conv1"
  OutputHook* hook;
  torch::Tensor weight;      ///< output units on axis 0
  torch::Tensor bias;        ///< undefined when the layer has none
};
/// All Conv2d and Linear layers of the model. Pointers live as long as the model. ConfigError: they are not known (Classifier::layers_are_known).
std::vector<HookedLayer> HookedLayers(torch::nn::Module& model);

/// Layer norm over the channels at each pixel: x [n, C, ...] -> same shape. Parameters weight, bias [C].
class ChannelLayerNormImpl : public torch::nn::Module {
 public:
  explicit ChannelLayerNormImpl(int64_t channels);
  torch::Tensor forward(const torch::Tensor& x);
  torch::Tensor weight, bias;
};
TORCH_MODULE(ChannelLayerNorm);

}  // namespace basin::models
