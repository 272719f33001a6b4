#include "trainer/evaluate.h"

#include <algorithm>

#include "base/error.h"
#include "base/seed.h"

namespace basin::trainer {
namespace {

torch::Tensor Take(const models::Classifier& model, const Bench& bench, const data::Split& split,
                   const torch::Tensor& indices) {
  return data::TakeImages(split, bench.dataset.normalisation, indices, bench.device,
                          model.prefers_channels_last());
}

/// Images that pass through the network together. What a convolutional network keeps between two layers should stay in the
/// processor's caches (its widest layers hold some five times the image); matrices want many rows.
int64_t RowsAtOnce(const models::Classifier& model, const Bench& bench, const data::Split& split) {
  constexpr int64_t kBytesAtOnce = 600'000, kFewest = 8;
  if (!model.prefers_channels_last() || !bench.device.is_cpu() || split.size() == 0) return bench.options.batch_size;
  const int64_t image_bytes = split.images[0].numel() * int64_t{sizeof(float)};
  return std::clamp(kBytesAtOnce / image_bytes, std::min(kFewest, bench.options.batch_size), bench.options.batch_size);
}

}  // namespace

torch::Tensor Logits(models::Classifier& model, const Bench& bench, const data::Split& split, int64_t limit) {
  const torch::NoGradGuard no_grad;
  model.eval();
  const int64_t n = limit < 0 ? split.size() : std::min(limit, split.size());
  torch::Tensor logits = torch::empty({n, bench.dataset.classes});
  const int64_t rows = RowsAtOnce(model, bench, split);
  for (int64_t begin = 0; begin < n; begin += rows) {
    const int64_t end = std::min(n, begin + rows);
    logits.slice(0, begin, end).copy_(model.forward(Take(model, bench, split, torch::arange(begin, end))));
    if (bench.after_batch) bench.after_batch();
  }
  return logits;
}

Score ScoreLogits(const torch::Tensor& logits, const torch::Tensor& labels) {
  const torch::NoGradGuard no_grad;
  const int64_t n = logits.size(0);
  if (n == 0) return {};
  const torch::Tensor target = labels.slice(0, 0, n);
  const torch::Tensor log_softmax = logits.to(torch::kFloat64).log_softmax(1);
  const double loss = -log_softmax.gather(1, target.unsqueeze(1)).mean().item<double>();
  const auto hits = (logits.argmax(1) == target).sum().item<int64_t>();
  return {loss, static_cast<double>(hits) / static_cast<double>(n)};
}

Score Evaluate(models::Classifier& model, const Bench& bench, const data::Split& split, int64_t limit) {
  return ScoreLogits(Logits(model, bench, split, limit), split.labels);
}

void Recalibrate(models::Classifier& model, const Bench& bench) {
  const data::Split& train = bench.dataset.train;
  const int64_t wanted = bench.options.recalibrate_batches * bench.options.batch_size;
  // Drawn, not taken in file order: a file sorted by class would give batches of one class.
  const auto drawn = base::RandomPermutation(train.size(), {.run_seed = bench.seed, .purpose = base::Purpose::kRecalibrate});
  const torch::Tensor order =
      torch::tensor(at::ArrayRef<int64_t>(drawn.data(), std::min(wanted, train.size())), torch::kInt64);
  models::RecalibrateBatchNorm(model, [&](const std::function<void(const torch::Tensor&)>& visit) {
    for (int64_t begin = 0; begin < order.size(0); begin += bench.options.batch_size) {
      const int64_t end = std::min(order.size(0), begin + bench.options.batch_size);
      // Batch statistics need two samples; a lone last one adds nothing.
      if (end - begin > 1 || order.size(0) == 1) visit(Take(model, bench, train, order.slice(0, begin, end)));
      if (bench.after_batch) bench.after_batch();
    }
  });
}

}  // namespace basin::trainer
