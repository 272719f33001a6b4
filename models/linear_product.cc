#include "models/linear_product.h"

#include <ATen/Context.h>
#include <ATen/core/List.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/nn/functional/linear.h>

#include <optional>
#include <string_view>

namespace basin::models {
namespace {

// In multiplications; below it oneDNN's set-up of a call takes longer than the product.
constexpr int64_t kWorthwhile = 1 << 20;

using Scalars = c10::List<std::optional<at::Scalar>>;
using Pointwise = torch::Tensor(const torch::Tensor&, const torch::Tensor&, const std::optional<torch::Tensor>&, std::string_view,
                                Scalars, std::optional<std::string_view>);

/// oneDNN's product over ordinary tensors, as LibTorch's own compiler calls it. None where LibTorch was built without.
const std::optional<c10::TypedOperatorHandle<Pointwise>>& OneDnnLinear() {
  static const auto found = []() -> std::optional<c10::TypedOperatorHandle<Pointwise>> {
    const auto operation = c10::Dispatcher::singleton().findSchema({"mkldnn::_linear_pointwise", ""});
    if (!operation) return std::nullopt;
    return operation->typed<Pointwise>();
  }();
  return found;
}

bool IsOnCpu(const torch::Tensor& x) { return x.is_cpu() && x.scalar_type() == torch::kFloat32; }

bool Pays(const torch::Tensor& x, const torch::Tensor& weight) {
  return x.dim() == 2 && weight.dim() == 2 && IsOnCpu(x) && IsOnCpu(weight) && x.numel() * weight.size(0) >= kWorthwhile &&
         at::globalContext().userEnabledMkldnn() && OneDnnLinear();
}

}  // namespace

torch::Tensor LinearProduct(const torch::Tensor& x, const torch::Tensor& weight, const torch::Tensor& bias) {
  const torch::NoGradGuard no_grad;
  if (!Pays(x, weight)) return torch::linear(x, weight, bias);
  std::optional<torch::Tensor> addend;
  if (bias.defined()) addend = bias;
  return OneDnnLinear()->call(x, weight, addend, "none", Scalars(), "");
}

}  // namespace basin::models
