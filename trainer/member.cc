#include "trainer/member.h"

#include <ATen/autocast_mode.h>

#include "base/error.h"
#include "merge/renormalise.h"
#include "models/layers.h"
#include "models/registry.h"

namespace basin::trainer {
namespace {

constexpr int kRenormalisationBatches = 5;  // n_iter of the published PAPA code

std::shared_ptr<models::Classifier> MakeMember(const RunConfig& config, const data::Dataset& dataset, int64_t id,
                                               torch::Device device) {
  auto model = MakeClassifier(config, dataset);
  const bool same = config.population.init == Init::kSame;
  models::InitialiseWeights(*model, config.seed, same ? 0 : static_cast<uint64_t>(id));
  model->to(device);
  return model;
}

/// Matrix products and convolutions in bfloat16 while it lives; weights stay float32.
class Bfloat16Scope {
 public:
  Bfloat16Scope(bool on, torch::Device device) : on_(on), type_(device.type()) {
    if (!on_) return;
    at::autocast::set_autocast_dtype(type_, at::kBFloat16);
    at::autocast::set_autocast_enabled(type_, true);
    // The cache of cast weights would outlive the step that changes them.
    at::autocast::set_autocast_cache_enabled(false);
  }
  ~Bfloat16Scope() {
    if (on_) at::autocast::set_autocast_enabled(type_, false);
  }
  Bfloat16Scope(const Bfloat16Scope&) = delete;
  Bfloat16Scope& operator=(const Bfloat16Scope&) = delete;

 private:
  bool on_;
  at::DeviceType type_;
};

}  // namespace

std::shared_ptr<models::Classifier> MakeClassifier(const RunConfig& config, const data::Dataset& dataset) {
  return models::MakeModel(config.model, {dataset.channels(), dataset.height(), dataset.width()}, dataset.classes);
}

std::vector<torch::Tensor> FloatingBuffers(const torch::nn::Module& module) {
  std::vector<torch::Tensor> floating;
  for (const torch::Tensor& buffer : module.buffers()) {
    if (buffer.is_floating_point()) floating.push_back(buffer);
  }
  return floating;
}

Member::Member(const RunConfig& config, const data::Dataset& dataset, int64_t id, torch::Device device)
    : config_(config),
      options_(config.members.at(id)),
      dataset_(dataset),
      id_(id),
      device_(device),
      model_(MakeMember(config, dataset, id, device)),
      params_(*model_),
      optimizer_(options_.train.optimizer, params_),
      batches_(dataset.train.size(), options_.train.batch_size, config.seed, id),
      statistics_(FloatingBuffers(*model_)) {}

MemberState Member::state() {
  return {.id = id_,
          .weights = params_.values(),
          .moments = optimizer_.moments(),
          .statistics = statistics_,
          .slots = params_.slots(),
          .renormaliser = this,
          .aligner = this};
}

torch::Tensor Member::TrainStep(int64_t step, double lr) {
  model_->train();
  const data::Batch batch = NextBatch(step);
  params_.gradients().zero_();
  const torch::Tensor loss = Loss(batch);
  loss.backward();
  optimizer_.Step(params_, lr);
  return loss.detach();
}

data::Batch Member::NextBatch(int64_t step) { return TakeBatch(batches_.Next(), config_.seed, step); }

data::Batch Member::TakeBatch(const torch::Tensor& indices, uint64_t seed, int64_t step) {
  data::Batch batch;
  batch.images = data::TakeImages(dataset_.train, dataset_.normalisation, indices, device_, model_->prefers_channels_last());
  batch.labels = dataset_.train.labels.index_select(0, indices).to(device_);
  data::Augment(batch, options_.augment,
                {.run_seed = seed, .purpose = base::Purpose::kAugment,
                 .a = static_cast<uint64_t>(step), .b = static_cast<uint64_t>(id_)});
  return batch;
}

torch::Tensor Member::Loss(const data::Batch& batch) {
  torch::Tensor logits;
  {
    const Bfloat16Scope scope(options_.train.precision == Precision::kBfloat16, device_);
    logits = model_->forward(batch.images);
  }
  logits = logits.to(torch::kFloat32);
  const auto cross_entropy = [&](const torch::Tensor& labels) {
    return torch::nn::functional::cross_entropy(
        logits, labels,
        torch::nn::functional::CrossEntropyFuncOptions().label_smoothing(options_.train.label_smoothing));
  };
  if (!batch.partner_labels.defined()) return cross_entropy(batch.labels);
  return batch.lambda * cross_entropy(batch.labels) + (1 - batch.lambda) * cross_entropy(batch.partner_labels);
}

models::BatchVisitor Member::RenormalisationBatches() {
  return [this](const std::function<void(const torch::Tensor&)>& visit) {
    // Its own seed: the data order of training stays as if nothing had been renormalised.
    const uint64_t seed = ~config_.seed;
    data::Batches batches(dataset_.train.size(), options_.train.batch_size, seed, id_);
    for (int k = 0; k < kRenormalisationBatches; ++k) visit(TakeBatch(batches.Next(), seed, k).images);
  };
}

torch::Tensor Member::MeasureActivations() {
  const merge::ActivationStatistics statistics = merge::MeasureActivations(*model_, RenormalisationBatches());
  std::vector<torch::Tensor> parts(statistics.mean);
  parts.insert(parts.end(), statistics.std.begin(), statistics.std.end());
  return parts.empty() ? torch::empty({0}, torch::kFloat64) : torch::cat(parts).to(torch::kCPU, torch::kFloat64);
}

void Member::Repair(const torch::Tensor& target) {
  const auto layers = models::HookedLayers(*model_);
  merge::ActivationStatistics goal;
  int64_t at = 0;
  for (auto* half : {&goal.mean, &goal.std}) {
    for (size_t k = 0; k + 1 < layers.size(); ++k) {  // the classifier is left out
      half->push_back(target.narrow(0, at, layers[k].weight.size(0)));
      at += layers[k].weight.size(0);
    }
  }
  BASIN_CHECK(at == target.numel(), "activation statistics of ", target.numel(), " units, the network has ", at);
  merge::Repair(*model_, goal, RenormalisationBatches());
}

void Member::Reset() { models::RecalibrateBatchNorm(*model_, RenormalisationBatches()); }

}  // namespace basin::trainer
