// Shuffled epochs with a cursor that can be saved: the order is a pure function of (run seed, member, epoch).
#pragma once

#include <torch/types.h>

#include <cstdint>

namespace basin::data {

/// Endless batches of example indices. Each epoch is a fresh uniform permutation (stream kDataOrder, epoch, member);
/// the last, incomplete batch of an epoch is dropped unless the split is smaller than one batch.
class Batches {
 public:
  /// The complete state.
  struct Cursor {
    int64_t epoch = 0;  ///< from 0
    int64_t batch = 0;  ///< in [0, batches_per_epoch())
  };

  Batches(int64_t num_examples, int64_t batch_size, uint64_t run_seed, int64_t member);
  int64_t batches_per_epoch() const;
  /// int64 [b], CPU. Advances the cursor.
  torch::Tensor Next();
  Cursor cursor() const { return cursor_; }
  void Seek(const Cursor& cursor);

 private:
  void Shuffle();
  int64_t num_examples_, batch_size_;
  uint64_t run_seed_;
  int64_t member_;
  Cursor cursor_;
  torch::Tensor order_;  // of cursor_.epoch
};

}  // namespace basin::data
