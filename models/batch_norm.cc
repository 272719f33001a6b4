#include "models/batch_norm.h"

#include <torch/types.h>

#include <utility>
#include <vector>

#include "base/error.h"

namespace basin::models {
namespace {

/// Calls visit(layer) for every batch-norm layer below module, whatever its number of dimensions.
template <typename Visit>
void ForEachBatchNorm(const torch::nn::Module& module, const Visit& visit) {
  for (const auto& child : module.children()) {
    if (auto* two = child->as<torch::nn::BatchNorm2dImpl>()) visit(*two);
    if (auto* one = child->as<torch::nn::BatchNorm1dImpl>()) visit(*one);
    if (auto* three = child->as<torch::nn::BatchNorm3dImpl>()) visit(*three);
    ForEachBatchNorm(*child, visit);
  }
}

/// Sets the momentum of all layers to "none" (cumulative mean) and back at the end of its life.
class CumulativeMomentum {
 public:
  explicit CumulativeMomentum(const torch::nn::Module& model) : model_(model) {
    ForEachBatchNorm(model_, [&](auto& layer) {
      saved_.push_back(layer.options.momentum());
      layer.options.momentum(std::nullopt);
    });
  }
  ~CumulativeMomentum() {
    size_t next = 0;
    ForEachBatchNorm(model_, [&](auto& layer) { layer.options.momentum(saved_[next++]); });
  }
  CumulativeMomentum(const CumulativeMomentum&) = delete;
  CumulativeMomentum& operator=(const CumulativeMomentum&) = delete;

 private:
  const torch::nn::Module& model_;
  std::vector<std::optional<double>> saved_;
};

}  // namespace

bool HasBatchNorm(const torch::nn::Module& module) {
  bool found = false;
  ForEachBatchNorm(module, [&](auto&) { found = true; });
  return found;
}

void RecalibrateBatchNorm(Classifier& model, const BatchVisitor& batches) {
  if (!HasBatchNorm(model)) return;
  torch::NoGradGuard no_grad;
  int64_t num_batches = 0;
  {
    const CumulativeMomentum cumulative(model);
    ForEachBatchNorm(model, [](auto& layer) { layer.reset_running_stats(); });
    model.train();
    batches([&](const torch::Tensor& images) {
      model.forward(images);
      ++num_batches;
    });
  }
  model.eval();
  BASIN_CHECK(num_batches > 0, "no batch of images to recompute the batch-norm statistics from");
}

}  // namespace basin::models
