#include "merge/renormalise.h"

#include <algorithm>
#include <string>

#include "base/error.h"

namespace basin::merge {
namespace {

// Relative to the target variance: a unit that the merge has silenced is not amplified by more than 1 / sqrt(eps), and
// a unit with small outputs is not shrunk, whatever the scale of its weights.
constexpr double kRelativeEpsilon = 1e-5;

/// [units] on the CPU, float64 -> the layer's device, with the unit on axis `axis` of `dims` axes.
torch::Tensor Along(const torch::Tensor& units, int64_t axis, int64_t dims, const torch::TensorOptions& options) {
  std::vector<int64_t> shape(static_cast<size_t>(dims), 1);
  shape[axis] = units.numel();
  return units.to(options).view(shape);
}

struct Target {
  torch::Tensor mean, std;  // float64 [units] on the CPU
};

void CheckFits(const ActivationStatistics& statistics, const std::vector<models::HookedLayer>& layers) {
  BASIN_CHECK(statistics.mean.size() == layers.size() && statistics.std.size() == layers.size(), "statistics of ",
              statistics.mean.size(), " layers for a network of ", layers.size(), " before its classifier");
  for (size_t i = 0; i < layers.size(); ++i) {
    const int64_t units = layers[i].weight.size(0);
    BASIN_CHECK(statistics.mean[i].numel() == units && statistics.std[i].numel() == units, "statistics of ",
                statistics.mean[i].numel(), " units for the ", units, " of layer ", layers[i].name);
  }
}

std::vector<Target> TargetsFor(const ActivationStatistics& target, const std::vector<models::HookedLayer>& layers,
                               const RenormaliseOptions& options) {
  CheckFits(target, layers);
  std::vector<Target> targets;
  for (size_t i = 0; i < layers.size(); ++i) {
    torch::Tensor mean = target.mean[i].to(torch::kCPU, torch::kFloat64) * options.factor;
    torch::Tensor std = target.std[i].to(torch::kCPU, torch::kFloat64) * options.factor;
    if (options.averaged) {
      mean = mean.abs().mean() * mean.sign();
      std = std.mean().expand_as(std);
    }
    targets.push_back({std::move(mean), std::move(std)});
  }
  return targets;
}

/// What the corrected layer does to its old output x: gain * x + shift.
struct Affine {
  torch::Tensor gain, shift;  // float64 [units]; shift undefined for a layer without bias
};

Affine AffineTo(const Target& target, const Moments& now, Correction correction, bool has_bias) {
  torch::Tensor gain = torch::ones_like(now.variance);
  if (correction != Correction::kReshift) {
    gain = target.std / (now.variance + kRelativeEpsilon * target.std.square()).sqrt();
    gain = torch::where(target.std > 0, gain, torch::zeros_like(gain));  // 0 / 0 of a dead unit
  }
  // Without a bias the mean cannot be mended afterwards, so the later layers must not see it mended now.
  if (!has_bias) return {gain, {}};
  if (correction == Correction::kRescale) return {gain, torch::zeros_like(gain)};
  return {gain, target.mean - gain * now.mean};
}

torch::Tensor Apply(const Affine& affine, const torch::Tensor& x) {
  const torch::Tensor gain = Along(affine.gain, 1, x.dim(), x.options());
  if (!affine.shift.defined()) return x * gain;
  return torch::addcmul(Along(affine.shift, 1, x.dim(), x.options()), x, gain);
}

/// In place: parameters may be views of one flat vector.
void Fuse(const Affine& affine, models::HookedLayer layer) {
  const auto wide = layer.weight.options().dtype(torch::kFloat64).requires_grad(false);
  layer.weight.copy_(layer.weight.to(torch::kFloat64) * Along(affine.gain, 0, layer.weight.dim(), wide));
  if (!affine.shift.defined()) return;
  layer.bias.copy_(layer.bias.to(torch::kFloat64) * affine.gain.to(wide) + affine.shift.to(wide));
}

/// One pass: each batch is corrected by its own moments on its way; fused by their mean.
void MendTogether(ListeningPass& pass, const std::vector<Target>& targets, const models::BatchVisitor& batches,
                  Correction correction) {
  std::vector<MomentsOfBatches> moments(targets.size(), MomentsOfBatches(Pooling::kMeanOfBatches));
  pass.Run(batches, [&](size_t i, const torch::Tensor& x) {
    const models::HookedLayer& layer = pass.layers()[i];
    const Moments batch = MomentsOf(x, layer.name);
    moments[i].Add(batch, ValuesAUnit(x));
    return Apply(AffineTo(targets[i], batch, correction, layer.bias.defined()), x);
  });
  for (size_t i = 0; i < targets.size(); ++i) {
    const models::HookedLayer& layer = pass.layers()[i];
    Fuse(AffineTo(targets[i], moments[i].Value(layer.name), correction, layer.bias.defined()), layer);
  }
}

void MendInTurn(ListeningPass& pass, const std::vector<Target>& targets, const models::BatchVisitor& batches,
                Correction correction) {
  for (size_t i = 0; i < targets.size(); ++i) {
    const models::HookedLayer& layer = pass.layers()[i];
    MomentsOfBatches moments(Pooling::kAllValues);
    pass.RunTo(i, batches, [&](const torch::Tensor& x) { moments.Add(MomentsOf(x, layer.name), ValuesAUnit(x)); });
    Fuse(AffineTo(targets[i], moments.Value(layer.name), correction, layer.bias.defined()), layer);
  }
}

}  // namespace

ActivationStatistics MeasureActivations(models::Classifier& model, const models::BatchVisitor& batches, Pooling pooling) {
  ListeningPass pass(model);
  std::vector<MomentsOfBatches> moments(pass.layers().size(), MomentsOfBatches(pooling));
  pass.Run(batches, [&](size_t i, const torch::Tensor& x) {
    moments[i].Add(MomentsOf(x, pass.layers()[i].name), ValuesAUnit(x));
    return x;
  });
  ActivationStatistics statistics;
  for (size_t i = 0; i < moments.size(); ++i) {
    const Moments value = moments[i].Value(pass.layers()[i].name);
    statistics.mean.push_back(value.mean);
    statistics.std.push_back(value.variance.sqrt());
  }
  return statistics;
}

ActivationStatistics CombineStatistics(std::span<const ActivationStatistics> parents, std::span<const double> weights) {
  BASIN_CHECK(!parents.empty(), "statistics of no network");
  BASIN_CHECK(weights.empty() || weights.size() == parents.size(), weights.size(), " weights for ", parents.size(), " networks");
  ActivationStatistics combined;
  for (size_t layer = 0; layer < parents[0].mean.size(); ++layer) {
    combined.mean.push_back(torch::zeros_like(parents[0].mean[layer]));
    combined.std.push_back(torch::zeros_like(parents[0].std[layer]));
    for (size_t k = 0; k < parents.size(); ++k) {
      BASIN_CHECK(parents[k].mean.size() == parents[0].mean.size(), "network ", k, " has ", parents[k].mean.size(),
                  " layers, network 0 has ", parents[0].mean.size());
      const double weight = weights.empty() ? 1.0 / static_cast<double>(parents.size()) : weights[k];
      combined.mean[layer] += parents[k].mean[layer] * weight;
      combined.std[layer] += parents[k].std[layer] * weight;
    }
  }
  return combined;
}

void Renormalise(models::Classifier& merged, const ActivationStatistics& target, const models::BatchVisitor& batches,
                 const RenormaliseOptions& options) {
  {
    ListeningPass pass(merged);
    const auto targets = TargetsFor(target, pass.layers(), options);
    (options.sequential ? MendInTurn : MendTogether)(pass, targets, batches, options.correction);
  }
  models::RecalibrateBatchNorm(merged, batches);
}

void RenormaliseFrom(models::Classifier& merged, const ActivationStatistics& target, const ActivationStatistics& now,
                     const RenormaliseOptions& options) {
  const torch::NoGradGuard no_grad;
  auto layers = models::HookedLayers(merged);
  if (!layers.empty()) layers.pop_back();  // the classifier
  const auto targets = TargetsFor(target, layers, options);
  CheckFits(now, layers);
  for (size_t i = 0; i < layers.size(); ++i) {
    const Moments moments{now.mean[i].to(torch::kCPU, torch::kFloat64), now.std[i].to(torch::kCPU, torch::kFloat64).square()};
    Fuse(AffineTo(targets[i], moments, options.correction, layers[i].bias.defined()), layers[i]);
  }
}

}  // namespace basin::merge
