#include "models/layers.h"

#include "base/error.h"
#include "models/accumulating_linear.h"

namespace basin::models {
namespace {

// Activations follow in place, so what a hook keeps must not be what goes on.
torch::Tensor ThroughHook(const OutputHook& hook, torch::Tensor y) {
  if (!hook) return y;
  torch::Tensor replaced = hook(y);
  return replaced.is_alias_of(y) ? replaced.clone() : replaced;
}

template <typename Layer>
bool AppendIf(const std::string& name, torch::nn::Module& module, std::vector<HookedLayer>& layers) {
  auto* layer = module.as<Layer>();
  if (layer == nullptr) return false;
  layers.push_back({name, &layer->hook, layer->weight, layer->bias});
  return true;
}

}  // namespace

torch::Tensor Conv2dImpl::forward(const torch::Tensor& x) {
  return ThroughHook(hook, torch::nn::Conv2dImpl::forward(x));
}

torch::Tensor LinearImpl::forward(const torch::Tensor& x) {
  return ThroughHook(hook, AccumulatingLinear(x, weight, bias));
}

std::vector<HookedLayer> HookedLayers(torch::nn::Module& model) {
  if (const auto* network = model.as<Classifier>(); network != nullptr && !network->layers_are_known()) {
    throw ConfigError("the layers of a TorchScript network cannot be listened to or corrected one by one; choose what needs only "
                      "its weights or its outputs (--renorm none or reset)");
  }
  std::vector<HookedLayer> layers;
  for (const auto& item : model.named_modules(/*name_prefix=*/"", /*include_self=*/false)) {
    AppendIf<Conv2dImpl>(item.key(), *item.value(), layers) || AppendIf<LinearImpl>(item.key(), *item.value(), layers);
  }
  return layers;
}

ChannelLayerNormImpl::ChannelLayerNormImpl(int64_t channels)
    : weight(register_parameter("weight", torch::ones({channels}))),
      bias(register_parameter("bias", torch::zeros({channels}))) {}

torch::Tensor ChannelLayerNormImpl::forward(const torch::Tensor& x) {
  if (x.dim() == 2) return torch::layer_norm(x, weight.sizes(), weight, bias);
  // With channels_last images both movements are views.
  return torch::layer_norm(x.movedim(1, -1), weight.sizes(), weight, bias).movedim(-1, 1);
}

}  // namespace basin::models
