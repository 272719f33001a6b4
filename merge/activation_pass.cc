#include "merge/activation_pass.h"

#include <algorithm>

#include "base/error.h"

namespace basin::merge {
namespace {

/// Thrown by a hook to end a forward pass whose rest nobody needs.
struct Enough {};

}  // namespace

int64_t ValuesAUnit(const torch::Tensor& x) { return x.numel() / std::max<int64_t>(x.size(1), 1); }

Moments MomentsOf(const torch::Tensor& x, const std::string& layer) {
  const int64_t count = ValuesAUnit(x);
  if (count < 2) {
    throw ConfigError(Text("layer ", layer, ": a batch of ", x.size(0), " image gives ", count,
                           " value a unit; a standard deviation needs at least 2. Use larger batches"));
  }
  // Batch norm's own kernel: two passes with sums in double on the CPU, and no copy of the activations.
  const auto [mean, biased] = torch::batch_norm_update_stats(x, {}, {}, /*momentum=*/0.0);
  const double unbias = static_cast<double>(count) / static_cast<double>(count - 1);
  return {mean.to(torch::kCPU, torch::kFloat64), biased.to(torch::kCPU, torch::kFloat64) * unbias};
}

void MomentsOfBatches::Add(const Moments& batch, int64_t values) {
  if (batches_ == 0) sum_ = {torch::zeros_like(batch.mean), torch::zeros_like(batch.variance)};
  ++batches_;
  if (pooling_ == Pooling::kMeanOfBatches) {
    sum_.mean += batch.mean;
    sum_.variance += batch.variance;
    return;
  }
  const auto added = static_cast<double>(values);
  const double total = values_ + added;
  const torch::Tensor delta = batch.mean - sum_.mean;
  sum_.mean += delta * (added / total);
  sum_.variance += batch.variance * (added - 1) + delta.square() * (values_ * added / total);
  values_ = total;
}

Moments MomentsOfBatches::Value(const std::string& layer) const {
  BASIN_CHECK(batches_ > 0, "no batch has passed through layer ", layer);
  if (pooling_ == Pooling::kAllValues) return {sum_.mean.clone(), sum_.variance / (values_ - 1)};
  const auto batches = static_cast<double>(batches_);
  return {sum_.mean / batches, sum_.variance / batches};
}

ListeningPass::ListeningPass(models::Classifier& model, BatchNormMode mode, bool with_classifier)
    : model_(model), layers_(models::HookedLayers(model)), was_training_(model.is_training()) {
  if (!layers_.empty() && !with_classifier) layers_.pop_back();
  for (const torch::Tensor& buffer : model.buffers()) buffers_.emplace_back(buffer, buffer.clone());
  for (const auto& module : model.modules(/*include_self=*/false)) modes_.emplace_back(module, module->is_training());
  model.eval();
  if (mode == BatchNormMode::kRunning) return;
  for (const auto& [module, was_training] : modes_) {
    if (module->as<torch::nn::BatchNorm1dImpl>() != nullptr || module->as<torch::nn::BatchNorm2dImpl>() != nullptr) {
      module->train();
    }
  }
}

ListeningPass::~ListeningPass() {
  ClearHooks();
  for (auto& [buffer, saved] : buffers_) buffer.copy_(saved);
  // train() reaches all that is below; parents come first, so that each module has its own last word.
  model_.train(was_training_);
  for (const auto& [module, was_training] : modes_) module->train(was_training);
}

void ListeningPass::SetHooks(const Hook& hook) {
  for (size_t i = 0; i < layers_.size(); ++i) {
    *layers_[i].hook = [i, &hook](const torch::Tensor& x) { return hook(i, x); };
  }
}

void ListeningPass::ClearHooks() {
  for (const models::HookedLayer& layer : layers_) *layer.hook = nullptr;
}

void ListeningPass::Run(const models::BatchVisitor& batches, const Hook& hook) {
  SetHooks(hook);
  batches([&](const torch::Tensor& images) { model_.forward(images); });
}

void ListeningPass::Forward(const torch::Tensor& images, const Hook& hook) {
  SetHooks(hook);
  model_.forward(images);
}

void ListeningPass::RunTo(size_t layer, const models::BatchVisitor& batches,
                          const std::function<void(const torch::Tensor&)>& see) {
  ClearHooks();
  *layers_.at(layer).hook = [&see](const torch::Tensor& x) -> torch::Tensor {
    see(x);
    throw Enough{};
  };
  batches([&](const torch::Tensor& images) {
    try {
      model_.forward(images);
    } catch (const Enough&) {
    }
  });
}

}  // namespace basin::merge
