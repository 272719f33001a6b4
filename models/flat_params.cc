#include "models/flat_params.h"

#include <torch/types.h>

#include <map>
#include <tuple>
#include <utility>

#include "base/error.h"
#include "base/files.h"

namespace basin::models {
namespace {

/// Parameters that share their elements (tied weights) have equal keys.
using ElementsKey = std::tuple<const void*, std::vector<int64_t>, std::vector<int64_t>>;

ElementsKey KeyOf(const torch::Tensor& tensor) {
  // Tensors without elements have no address: none is tied to another.
  const void* address = tensor.numel() > 0 ? tensor.const_data_ptr() : static_cast<const void*>(tensor.unsafeGetTensorImpl());
  return {address, tensor.sizes().vec(), tensor.strides().vec()};
}

uint64_t HashOf(const std::string& text) {
  return base::Hash64({reinterpret_cast<const std::byte*>(text.data()), text.size()});
}

uint64_t HashLayout(const std::vector<ParameterSlot>& slots) {
  std::ostringstream text;
  for (const ParameterSlot& slot : slots) {
    text << slot.name << '[';
    for (int64_t size : slot.shape) text << size << ',';
    text << "]\n";
  }
  return HashOf(text.str());
}

torch::Tensor SlotView(const torch::Tensor& flat, const ParameterSlot& slot) {
  return flat.narrow(0, slot.offset, slot.num_elements).view(slot.shape);
}

}  // namespace

FlatParams::FlatParams(torch::nn::Module& module) {
  torch::NoGradGuard no_grad;
  std::map<ElementsKey, size_t> slot_of;                     // elements -> slot
  std::vector<std::pair<torch::Tensor, size_t>> parameters;  // tied ones included
  int64_t total = 0;
  torch::Device device = torch::kCPU;
  for (const auto& item : module.named_parameters()) {
    const torch::Tensor& parameter = item.value();
    if (!parameter.requires_grad()) continue;
    BASIN_CHECK(parameter.scalar_type() == torch::kFloat32, item.key(), " is ", parameter.scalar_type(),
                "; trainable parameters must be float32");
    BASIN_CHECK(parameters.empty() || parameter.device() == device, item.key(), " is on ", parameter.device(),
                " but the parameters before it on ", device);
    device = parameter.device();
    const auto [place, is_new] = slot_of.try_emplace(KeyOf(parameter), slots_.size());
    if (is_new) {
      slots_.push_back({item.key(), total, parameter.sizes().vec(), parameter.numel()});
      total += parameter.numel();
    }
    parameters.emplace_back(parameter, place->second);
  }

  const auto options = torch::TensorOptions().dtype(torch::kFloat32).device(device);
  values_ = torch::empty({total}, options);
  gradients_ = torch::zeros({total}, options);
  for (auto& [parameter, index] : parameters) {
    const torch::Tensor view = SlotView(values_, slots_[index]);
    view.copy_(parameter);  // a tied weight is copied twice: the values are the same
    parameter.set_data(view);
    // Autograd adds in place to a gradient that is defined, so the views stay views.
    parameter.mutable_grad() = SlotView(gradients_, slots_[index]);
  }
  layout_hash_ = HashLayout(slots_);
}

uint64_t FlatParams::values_hash() const {
  const torch::Tensor host = values_.cpu();
  return base::Hash64({reinterpret_cast<const std::byte*>(host.const_data_ptr<float>()), static_cast<size_t>(host.nbytes())});
}

}  // namespace basin::models
