#include "merge/singular.h"

#include <algorithm>

#include "base/error.h"
#include "merge/distance.h"

namespace basin::merge {
namespace {

bool IsWeightMatrix(const models::NamedTensor& item) {
  return item.name.ends_with(".weight") && item.tensor.dim() >= 2 && item.tensor.is_floating_point();
}

int64_t CountKept(const Decomposition& layer, double gamma) {
  if (layer.s.numel() == 0) return 0;
  const double largest = layer.s[0].item<double>();
  const double rounding = static_cast<double>(std::max(layer.u.size(0), layer.v.size(0))) * 1.2e-7 * largest;
  return torch::logical_and(layer.s >= gamma * largest, layer.s > rounding).sum().item<int64_t>();
}

/// sum of u_i v_i^T over the first `kept`.
torch::Tensor Polar(const Decomposition& layer, int64_t kept) {
  return layer.u.narrow(1, 0, kept).matmul(layer.v.narrow(1, 0, kept).t());
}

}  // namespace

std::vector<std::string> WeightMatrices(const models::StateDict& state) {
  std::vector<std::string> names;
  for (const models::NamedTensor& item : state) {
    if (IsWeightMatrix(item)) names.push_back(item.name);
  }
  return names;
}

Decomposition Decompose(const models::StateDict& state, const std::string& tensor) {
  const torch::NoGradGuard no_grad;
  const torch::Tensor* weight = models::FindTensor(state, tensor);
  if (weight == nullptr) throw DataError(Text("the network has no tensor ", tensor));
  const torch::Tensor matrix = weight->to(torch::kCPU, torch::kFloat64).flatten(1);
  auto [u, s, vh] = torch::linalg_svd(matrix, /*full_matrices=*/false);
  return {LayerOf(tensor), u, s, vh.t()};
}

std::vector<Decomposition> DecomposeAll(const models::StateDict& state) {
  std::vector<Decomposition> layers;
  for (const std::string& name : WeightMatrices(state)) layers.push_back(Decompose(state, name));
  return layers;
}

LayerAlignment AlignLayer(const Decomposition& a, const Decomposition& b, double gamma) {
  if (a.u.size(0) != b.u.size(0) || a.v.size(0) != b.v.size(0)) {
    throw DataError(Text("layer ", a.name, " is ", a.u.size(0), " x ", a.v.size(0), " in one network and ", b.u.size(0), " x ",
                         b.v.size(0), " in the other"));
  }
  const int64_t kept_a = CountKept(a, gamma), kept_b = CountKept(b, gamma);
  if (kept_a == 0 || kept_b == 0) return {};
  return {(Polar(a, kept_a) * Polar(b, kept_b)).sum().item<double>(), std::min(kept_a, kept_b)};
}

Alignment MeasureAlignment(const std::vector<Decomposition>& a, const std::vector<Decomposition>& b, double gamma) {
  if (a.size() != b.size()) throw DataError(Text("networks of ", a.size(), " and ", b.size(), " weight matrices"));
  Alignment alignment{.gamma = gamma};
  double sum = 0, counted = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    alignment.layers.push_back(AlignLayer(a[i], b[i], gamma));
    sum += alignment.layers.back().sum;
    counted += static_cast<double>(alignment.layers.back().counted);
  }
  alignment.value = counted > 0 ? sum / counted : 0;
  return alignment;
}

}  // namespace basin::merge
