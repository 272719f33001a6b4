#include "merge/calibrate.h"

#include <cmath>
#include <map>
#include <vector>

#include "base/error.h"
#include "models/layers.h"

namespace basin::merge {
namespace {

/// Depth is a layer's number only where each layer feeds the next one alone: no norm, no stream with two producers.
void CheckPlainChain(models::Classifier& model, const std::vector<models::HookedLayer>& layers) {
  size_t tensors = 0;
  for (const models::HookedLayer& layer : layers) {
    if (!layer.bias.defined()) {
      throw ConfigError(Text("bias calibration: layer ", layer.name, " has no bias; it is for plain networks (model.norm: none)"));
    }
    tensors += 2;
  }
  if (model.parameters().size() != tensors || !model.buffers().empty()) {
    throw ConfigError("bias calibration: the network has norm layers; it is for plain networks (model.norm: none). "
                      "Use --renorm reset with batch norm, repair with layer norm");
  }
  for (const auto& [id, places] : model.symmetry().Places()) {
    int64_t producers = 0;
    for (const auto& place : places) producers += place.axis == 0 && place.tensor.ends_with(".weight") ? 1 : 0;
    if (producers > 1) {
      throw ConfigError(Text("bias calibration: units ", id, " have ", producers, " producers (residual connections), so their "
                             "depth is not defined; use --renorm repair"));
    }
  }
}

/// d/d beta of the mean cross-entropy of beta * logits: mean of sum_k p_k z_k - z_label. Grows with beta.
double Slope(const torch::Tensor& logits, const torch::Tensor& own, double beta) {
  return ((logits * beta).softmax(1) * logits).sum(1).sub(own).mean().item<double>();
}

}  // namespace

void CalibrateBiases(models::Classifier& merged, std::span<const models::StateDict> parents, std::span<const double> weights) {
  const torch::NoGradGuard no_grad;
  BASIN_CHECK(!parents.empty(), "biases of no network");
  BASIN_CHECK(weights.empty() || weights.size() == parents.size(), weights.size(), " weights for ", parents.size(), " networks");
  auto layers = models::HookedLayers(merged);
  CheckPlainChain(merged, layers);
  for (size_t i = 0; i < layers.size(); ++i) {
    torch::Tensor bias = torch::zeros_like(layers[i].bias, torch::kFloat64);
    for (size_t k = 0; k < parents.size(); ++k) {
      const torch::Tensor* parent = models::FindTensor(parents[k], layers[i].name + ".bias");
      BASIN_CHECK(parent != nullptr && parent->sizes() == bias.sizes(), "network ", k, " has no bias of layer ", layers[i].name);
      const double weight = weights.empty() ? 1.0 / static_cast<double>(parents.size()) : weights[k];
      bias += parent->to(bias.options()) * std::pow(weight, static_cast<double>(i + 1));
    }
    layers[i].bias.copy_(bias);
  }
}

void RemoveLastBiases(models::Classifier& model, int64_t count) {
  const torch::NoGradGuard no_grad;
  auto layers = models::HookedLayers(model);
  if (count < 0 || count > std::ssize(layers)) throw ConfigError(Text("the biases of the last ", count, " layers are to go; allowed: 0 to ", layers.size()));
  for (auto layer = layers.end() - count; layer != layers.end(); ++layer) {
    if (layer->bias.defined()) layer->bias.zero_();
  }
}

double FindTemperature(const torch::Tensor& logits, const torch::Tensor& labels) {
  const torch::NoGradGuard no_grad;
  BASIN_CHECK(logits.dim() == 2 && logits.size(0) > 0, "a temperature needs at least one sample");
  const torch::Tensor wide = logits.to(torch::kCPU, torch::kFloat64);
  const torch::Tensor own = wide.gather(1, labels.slice(0, 0, wide.size(0)).unsqueeze(1)).squeeze(1);
  double low = std::log(1e-3), high = std::log(1e3);  // of beta = 1 / T
  // 50 halvings of 13.8: 1e-14, below the rounding of T itself.
  for (int step = 0; step < 50; ++step) {
    const double middle = (low + high) / 2;
    (Slope(wide, own, std::exp(middle)) < 0 ? low : high) = middle;
  }
  return std::exp(-(low + high) / 2);
}

void ApplyTemperature(models::Classifier& model, double temperature) {
  const torch::NoGradGuard no_grad;
  BASIN_CHECK(temperature > 0 && std::isfinite(temperature), "temperature ", temperature);
  models::HookedLayer classifier = models::HookedLayers(model).back();
  classifier.weight.copy_(classifier.weight.to(torch::kFloat64) / temperature);
  if (classifier.bias.defined()) classifier.bias.copy_(classifier.bias.to(torch::kFloat64) / temperature);
}

}  // namespace basin::merge
