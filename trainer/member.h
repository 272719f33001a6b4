// One network with its optimiser state, data order and seeds.
#pragma once

#include <memory>

#include "data/batches.h"
#include "data/dataset.h"
#include "models/batch_norm.h"
#include "models/classifier.h"
#include "models/flat_params.h"
#include "trainer/config/config.h"
#include "trainer/optimizer.h"
#include "trainer/strategy.h"

namespace basin::trainer {

/// Not thread-safe; lives on one thread. Borrows the data set and the configuration.
class Member : public Renormaliser, public Aligner {
 public:
  /// Initial weights depend on config.seed, id and config.population.init alone (same: those of member 0).
  Member(const RunConfig& config, const data::Dataset& dataset, int64_t id, torch::Device device);

  /// Forward, backward and optimiser step on this member's next batch. `step` seeds the augmentation. Returns the mean
  /// training loss of the batch, a scalar on the device (reading it waits for a GPU).
  torch::Tensor TrainStep(int64_t step, double lr);

  int64_t id() const { return id_; }
  models::Classifier& model() { return *model_; }
  models::FlatParams& params() { return params_; }
  Optimizer& optimizer() { return optimizer_; }
  data::Batches& batches() { return batches_; }
  std::vector<torch::Tensor>& statistics() { return statistics_; }
  /// What strategies may touch.
  MemberState state();

  torch::Tensor MeasureActivations() override;
  void Repair(const torch::Tensor& target) override;
  void Reset() override;
  void AlignTo(const torch::Tensor& reference) override;

 private:
  data::Batch NextBatch(int64_t step);
  /// The training images at `indices`, augmented by the stream (seed, kAugment, step, id).
  data::Batch TakeBatch(const torch::Tensor& indices, uint64_t seed, int64_t step);
  torch::Tensor Loss(const data::Batch& batch);
  /// The training batches that a renormalisation looks at: augmented as in training, a fixed draw for each event.
  models::BatchVisitor RenormalisationBatches();

  const RunConfig& config_;
  const MemberOptions& options_;
  const data::Dataset& dataset_;
  int64_t id_;
  torch::Device device_;
  std::shared_ptr<models::Classifier> model_;
  models::FlatParams params_;
  Optimizer optimizer_;
  data::Batches batches_;
  std::vector<torch::Tensor> statistics_;  // floating buffers of the model, shared storage
};

/// Builds the network that `config` names for the images of `dataset`, weights not yet drawn.
std::shared_ptr<models::Classifier> MakeClassifier(const RunConfig& config, const data::Dataset& dataset);
/// Floating buffers of a module (batch-norm means and variances), shared storage, registration order.
std::vector<torch::Tensor> FloatingBuffers(const torch::nn::Module& module);

}  // namespace basin::trainer
