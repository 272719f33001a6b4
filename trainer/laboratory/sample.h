// The training images that statistics of finished networks are taken on.
#pragma once

#include "merge/taylor.h"
#include "models/batch_norm.h"
#include "trainer/evaluate.h"

namespace basin::trainer {

inline constexpr int64_t kManySamples = 10000;

/// Un-augmented training images in an order that depends on the seed alone (stream kRecalibrate; a file sorted by class would give
/// batches of one class).
class Sample {
 public:
  /// samples: at most so many images; 0: all when there are at most kManySamples, else so many. Borrows bench and its data.
  Sample(const Bench& bench, const models::Classifier& model, int64_t samples);

  int64_t size() const { return order_.size(0); }
  /// Batches of evaluate.batch_size, at most 500 (activations of several networks are held at a time); a lone last image is
  /// left out, since batch statistics need two.
  models::BatchVisitor images() const;
  merge::LabelledBatches labelled() const;
  /// All labels in the order of `labelled`; int64 [size].
  torch::Tensor labels() const;

 private:
  template <typename Visit>
  void ForEachBatch(const Visit& visit) const;

  const Bench& bench_;
  bool channels_last_;
  torch::Tensor order_;  // int64
};

}  // namespace basin::trainer
