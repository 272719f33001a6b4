// Listening to a network's layers while batches run through it, and what is kept of each layer's outputs. What
// renormalise, closed_form and collapse have in common; nothing here changes a weight.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "models/batch_norm.h"
#include "models/classifier.h"
#include "models/layers.h"

namespace basin::merge {

/// Of each unit of one layer, over samples and pixels.
struct Moments {
  torch::Tensor mean, variance;  ///< float64 [units] on the CPU; variance unbiased
};

/// How the moments of several batches become one.
enum class Pooling {
  kMeanOfBatches,  ///< mean of batch means, mean of unbiased batch variances: what batch norm with momentum = none keeps
  kAllValues,      ///< moments of all values together (Chan et al. 1979): independent of how they were cut into batches
};

/// Values of a unit of x [n, units, ...]: n times pixels.
int64_t ValuesAUnit(const torch::Tensor& x);
/// ConfigError naming the layer when a unit has fewer than two values. x [n, units, ...].
Moments MomentsOf(const torch::Tensor& x, const std::string& layer);

class MomentsOfBatches {
 public:
  explicit MomentsOfBatches(Pooling pooling) : pooling_(pooling) {}
  /// values: of each unit in the batch (ValuesAUnit).
  void Add(const Moments& batch, int64_t values);
  /// CheckFailed when no batch was added; `layer` is for the message.
  Moments Value(const std::string& layer) const;

 private:
  Pooling pooling_;
  Moments sum_;  // kAllValues: mean, and sum of squared deviations from it
  int64_t batches_ = 0;
  double values_ = 0;
};

/// What batch-norm layers normalise by while a pass listens.
enum class BatchNormMode { kBatch, kRunning };

/// A model with hooks on every layer but the classifier (or on every layer). At the end of its life, an exception's case
/// included, hooks, buffers and modes are as before. Nothing is drawn at random: all else than batch norm is in eval mode.
class ListeningPass {
 public:
  using Hook = std::function<torch::Tensor(size_t layer, const torch::Tensor& output)>;

  explicit ListeningPass(models::Classifier& model, BatchNormMode mode = BatchNormMode::kBatch, bool with_classifier = false);
  ~ListeningPass();
  ListeningPass(const ListeningPass&) = delete;
  ListeningPass& operator=(const ListeningPass&) = delete;

  const std::vector<models::HookedLayer>& layers() const { return layers_; }
  /// The hook's result replaces each layer's output. It may keep its argument: what goes on is never that memory.
  void Run(const models::BatchVisitor& batches, const Hook& hook);
  /// The same with one batch.
  void Forward(const torch::Tensor& images, const Hook& hook);
  /// Calls see(output of `layer`) for each batch; layers after it are not computed.
  void RunTo(size_t layer, const models::BatchVisitor& batches, const std::function<void(const torch::Tensor&)>& see);

 private:
  void SetHooks(const Hook& hook);
  void ClearHooks();

  const torch::NoGradGuard no_grad_;  // first, so that it outlives the restoring
  models::Classifier& model_;
  std::vector<models::HookedLayer> layers_;
  bool was_training_;
  std::vector<std::pair<torch::Tensor, torch::Tensor>> buffers_;
  std::vector<std::pair<std::shared_ptr<torch::nn::Module>, bool>> modes_;
};

}  // namespace basin::merge
