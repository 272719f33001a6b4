#include "merge/renormalise.h"

#include <algorithm>
#include <functional>
#include <string>
#include <utility>

#include "base/error.h"
#include "models/layers.h"

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

struct Moments {
  torch::Tensor mean, variance;  // float64 [units] on the CPU; variance unbiased
};

Moments MomentsOf(const torch::Tensor& x, const std::string& layer) {
  const int64_t count = x.numel() / std::max<int64_t>(x.size(1), 1);  // values a unit
  if (count < 2) {
    throw ConfigError(Text("layer ", layer, ": a batch of ", x.size(0), " image gives ", count,
                           " value a unit; a standard deviation needs at least 2. Use larger batches"));
  }
  // Batch norm's own kernel: two passes with sums in double on the CPU, and no copy of the activations.
  const auto [mean, biased] = torch::batch_norm_update_stats(x, {}, {}, /*momentum=*/0.0);
  const double unbias = static_cast<double>(count) / static_cast<double>(count - 1);
  return {mean.to(torch::kCPU, torch::kFloat64), biased.to(torch::kCPU, torch::kFloat64) * unbias};
}

/// Cumulative mean over batches of one layer's batch means and unbiased batch variances (batch norm with momentum =
/// none).
class RunningMoments {
 public:
  void Add(const Moments& batch) {
    if (batches_ == 0) sum_ = {torch::zeros_like(batch.mean), torch::zeros_like(batch.variance)};
    sum_.mean += batch.mean;
    sum_.variance += batch.variance;
    ++batches_;
  }
  Moments Value(const std::string& layer) const {
    BASIN_CHECK(batches_ > 0, "no batch has passed through layer ", layer);
    const auto batches = static_cast<double>(batches_);
    return {sum_.mean / batches, sum_.variance / batches};
  }

 private:
  Moments sum_;
  int64_t batches_ = 0;
};

/// Runs batches through a model with a hook on every layer but the classifier. Batch norm works with batch statistics
/// meanwhile; every other layer is in eval mode, so that nothing is drawn at random. At the end of its life, an
/// exception's included, hooks, buffers and modes are as before.
class ListeningPass {
 public:
  explicit ListeningPass(models::Classifier& model)
      : model_(model), layers_(models::HookedLayers(model)), was_training_(model.is_training()) {
    if (!layers_.empty()) layers_.pop_back();  // the classifier
    for (const torch::Tensor& buffer : model.buffers()) buffers_.emplace_back(buffer, buffer.clone());
    for (const auto& module : model.modules(/*include_self=*/false)) modes_.emplace_back(module, module->is_training());
    model.eval();
    for (const auto& [module, mode] : modes_) {
      if (module->as<torch::nn::BatchNorm1dImpl>() != nullptr || module->as<torch::nn::BatchNorm2dImpl>() != nullptr) {
        module->train();
      }
    }
  }
  ~ListeningPass() {
    for (const models::HookedLayer& layer : layers_) *layer.hook = nullptr;
    for (auto& [buffer, saved] : buffers_) buffer.copy_(saved);
    // train() reaches all that is below; parents come first, so that each module has its own last word.
    model_.train(was_training_);
    for (const auto& [module, mode] : modes_) module->train(mode);
  }
  ListeningPass(const ListeningPass&) = delete;
  ListeningPass& operator=(const ListeningPass&) = delete;

  const std::vector<models::HookedLayer>& layers() const { return layers_; }
  /// hook(layer index, output) replaces each layer's output.
  void Run(const models::BatchVisitor& batches,
           const std::function<torch::Tensor(size_t, const torch::Tensor&)>& hook) {
    for (size_t i = 0; i < layers_.size(); ++i) {
      *layers_[i].hook = [i, &hook](const torch::Tensor& x) { return hook(i, x); };
    }
    batches([&](const torch::Tensor& images) { model_.forward(images); });
  }

 private:
  const torch::NoGradGuard no_grad_;  // first, so that it outlives the restoring
  models::Classifier& model_;
  std::vector<models::HookedLayer> layers_;
  bool was_training_;
  std::vector<std::pair<torch::Tensor, torch::Tensor>> buffers_;
  std::vector<std::pair<std::shared_ptr<torch::nn::Module>, bool>> modes_;
};

struct Target {
  torch::Tensor mean, std;  // float64 [units] on the CPU
};

std::vector<Target> CheckedTargets(const ActivationStatistics& target, const std::vector<models::HookedLayer>& layers) {
  BASIN_CHECK(target.mean.size() == layers.size() && target.std.size() == layers.size(), "statistics of ",
              target.mean.size(), " layers for a network of ", layers.size(), " before its classifier");
  std::vector<Target> targets;
  for (size_t i = 0; i < layers.size(); ++i) {
    const int64_t units = layers[i].weight.size(0);
    BASIN_CHECK(target.mean[i].numel() == units && target.std[i].numel() == units, "statistics of ",
                target.mean[i].numel(), " units for the ", units, " of layer ", layers[i].name);
    targets.push_back(
        {target.mean[i].to(torch::kCPU, torch::kFloat64), target.std[i].to(torch::kCPU, torch::kFloat64)});
  }
  return targets;
}

/// What the corrected layer does to its old output x: gain * x + shift.
struct Correction {
  torch::Tensor gain, shift;  // float64 [units]; shift undefined for a layer without bias
};

Correction CorrectionTo(const Target& target, const Moments& now, bool has_bias) {
  const torch::Tensor gain = target.std / (now.variance + kRelativeEpsilon * target.std.square()).sqrt();
  const torch::Tensor finite = torch::where(target.std > 0, gain, torch::zeros_like(gain));  // 0 / 0 of a dead unit
  return {finite, has_bias ? target.mean - finite * now.mean : torch::Tensor()};
}

torch::Tensor Apply(const Correction& correction, const torch::Tensor& x) {
  const torch::Tensor gain = Along(correction.gain, 1, x.dim(), x.options());
  if (!correction.shift.defined()) return x * gain;
  return torch::addcmul(Along(correction.shift, 1, x.dim(), x.options()), x, gain);
}

/// In place: parameters may be views of one flat vector.
void Fuse(const Correction& correction, models::HookedLayer& layer) {
  const auto wide = layer.weight.options().dtype(torch::kFloat64).requires_grad(false);
  layer.weight.copy_(layer.weight.to(torch::kFloat64) * Along(correction.gain, 0, layer.weight.dim(), wide));
  if (!correction.shift.defined()) return;
  layer.bias.copy_(layer.bias.to(torch::kFloat64) * correction.gain.to(wide) + correction.shift.to(wide));
}

}  // namespace

ActivationStatistics MeasureActivations(models::Classifier& model, const models::BatchVisitor& batches) {
  ListeningPass pass(model);
  std::vector<RunningMoments> running(pass.layers().size());
  pass.Run(batches, [&](size_t i, const torch::Tensor& x) {
    running[i].Add(MomentsOf(x, pass.layers()[i].name));
    return x;
  });
  ActivationStatistics statistics;
  for (size_t i = 0; i < running.size(); ++i) {
    const Moments moments = running[i].Value(pass.layers()[i].name);
    statistics.mean.push_back(moments.mean);
    statistics.std.push_back(moments.variance.sqrt());
  }
  return statistics;
}

void Repair(models::Classifier& merged, const ActivationStatistics& target, const models::BatchVisitor& batches) {
  {
    ListeningPass pass(merged);
    const std::vector<Target> targets = CheckedTargets(target, pass.layers());
    std::vector<RunningMoments> running(targets.size());
    pass.Run(batches, [&](size_t i, const torch::Tensor& x) {
      const models::HookedLayer& layer = pass.layers()[i];
      const Moments batch = MomentsOf(x, layer.name);
      running[i].Add(batch);
      // Without a bias the mean cannot be mended afterwards, so the later layers must not see it mended now.
      return Apply(CorrectionTo(targets[i], batch, layer.bias.defined()), x);
    });
    for (size_t i = 0; i < targets.size(); ++i) {
      models::HookedLayer layer = pass.layers()[i];
      Fuse(CorrectionTo(targets[i], running[i].Value(layer.name), layer.bias.defined()), layer);
    }
  }
  models::RecalibrateBatchNorm(merged, batches);
}

}  // namespace basin::merge
