#include "trainer/laboratory/sample.h"

#include <algorithm>

#include "base/error.h"
#include "base/seed.h"

namespace basin::trainer {
namespace {

constexpr int64_t kMostABatch = 500;

}  // namespace

Sample::Sample(const Bench& bench, const models::Classifier& model, int64_t samples)
    : bench_(bench), channels_last_(model.prefers_channels_last()) {
  const int64_t n = bench.dataset.train.size();
  if (samples < 0 || samples == 1) throw ConfigError(Text("--samples ", samples, ": allowed are 2 or more, or 0 for all"));
  const int64_t wanted = std::min(n, samples > 0 ? samples : kManySamples);
  const auto drawn = base::RandomPermutation(n, {.run_seed = bench.seed, .purpose = base::Purpose::kRecalibrate});
  order_ = torch::tensor(at::ArrayRef<int64_t>(drawn.data(), static_cast<size_t>(wanted)), torch::kInt64);
}

template <typename Visit>
void Sample::ForEachBatch(const Visit& visit) const {
  const int64_t batch = std::min(kMostABatch, bench_.options.batch_size);
  for (int64_t begin = 0; begin < size(); begin += batch) {
    const int64_t end = std::min(size(), begin + batch);
    if (end - begin < 2 && size() > 1) return;
    const torch::Tensor indices = order_.slice(0, begin, end);
    visit(data::TakeImages(bench_.dataset.train, bench_.dataset.normalisation, indices, bench_.device, channels_last_), indices);
    if (bench_.after_batch) bench_.after_batch();
  }
}

models::BatchVisitor Sample::images() const {
  return [this](const std::function<void(const torch::Tensor&)>& visit) {
    ForEachBatch([&](const torch::Tensor& images, const torch::Tensor&) { visit(images); });
  };
}

merge::LabelledBatches Sample::labelled() const {
  return [this](const std::function<void(const torch::Tensor&, const torch::Tensor&)>& visit) {
    ForEachBatch([&](const torch::Tensor& images, const torch::Tensor& indices) {
      visit(images, bench_.dataset.train.labels.index_select(0, indices).to(bench_.device));
    });
  };
}

torch::Tensor Sample::labels() const { return bench_.dataset.train.labels.index_select(0, order_); }

}  // namespace basin::trainer
