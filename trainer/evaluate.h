// Loss and accuracy of a network on a split; the logit ensemble; batch-norm statistics for merged networks.
#pragma once

#include <functional>

#include "data/dataset.h"
#include "models/batch_norm.h"
#include "models/classifier.h"
#include "trainer/config/config.h"

namespace basin::trainer {

struct Score {
  double loss = 0;      ///< mean cross-entropy over the samples, nats
  double accuracy = 0;  ///< fraction
};

/// Where and on what networks are measured. Borrows the data set.
struct Bench {
  const data::Dataset& dataset;
  EvaluateOptions options;
  torch::Device device = torch::kCPU;
  uint64_t seed = 1;  ///< chooses the recalibration images
  std::function<void()> after_batch{};  ///< called after every batch; may be empty
};

/// Logits of every sample of the split (or its first `limit`), eval mode, float32 [n, classes] on the CPU.
torch::Tensor Logits(models::Classifier& model, const Bench& bench, const data::Split& split,
                     int64_t limit = -1);
/// Accumulated in double over samples, so independent of the batch size but for the forward pass itself.
Score ScoreLogits(const torch::Tensor& logits, const torch::Tensor& labels);
Score Evaluate(models::Classifier& model, const Bench& bench, const data::Split& split, int64_t limit = -1);

/// Recomputes batch-norm statistics on recalibrate_batches x batch_size un-augmented training images (all of them when there
/// are fewer), in an order that depends on the seed alone (stream kRecalibrate).
void Recalibrate(models::Classifier& model, const Bench& bench);

}  // namespace basin::trainer
