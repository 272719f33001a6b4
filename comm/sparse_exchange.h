// The heart of WASH and SPARTA: choose a few coordinates on every rank alike, and let only their
// values travel. Nothing but payload is sent: indices and permutations are drawn on every rank from
// the same counter-based stream.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <span>
#include <vector>

#include "comm/communicator.h"
#include "comm/payload.h"

namespace basin::comm {

/// One trainable tensor's place in the flat [P] vector and how often its coordinates are selected.
struct SelectedTensor {
  int64_t offset = 0;  ///< first coordinate in [P]
  int64_t num_elements = 0;
  double rate = 0;  ///< selection probability q of each coordinate, in [0, 1]
};

/// Names one draw: the same key gives the same draw on every rank, machine and run.
struct DrawKey {
  uint64_t run_seed = 0;
  uint64_t exchange = 0;  ///< number of the exchange (the step), from 0
};

/// Selected coordinates of all tensors, ascending positions in [P]. Bernoulli(rate) for each
/// coordinate independently, by geometric skips of floor(log U / log(1 - q)) coordinates (Devroye
/// 1986, ch. X.2): O(sum of rate x num_elements) time. Stream: (run_seed, kSelect, exchange, tensor
/// index). rate >= 1 selects all, rate <= 0 none. tensors: ascending offsets, no overlap.
std::vector<int64_t> DrawIndices(const DrawKey& key, std::span<const SelectedTensor> tensors);

/// What one rank must do in one shuffle of N members: which coordinates it sends to and receives
/// from whom. Pure data; drawing it needs no communication, so it can run beside the backward pass
/// (any thread).
struct ShufflePlan {
  int members = 1;
  /// Positions in [P], grouped by destination rank 0..N-1, ascending in a group.
  std::vector<int64_t> send_index;
  /// Positions in [P], grouped by source rank 0..N-1, ascending in a group.
  std::vector<int64_t> receive_index;
  std::vector<int64_t> send_counts;     ///< [N]; own entry is 0
  std::vector<int64_t> receive_counts;  ///< [N]; own entry is 0
  /// Selected positions whose value stays here while those of other members move, ascending. Empty with two members, where all or none move.
  std::vector<int64_t> stay_index{};
  /// Places that change on this rank.
  int64_t num_moved() const { return static_cast<int64_t>(send_index.size()); }
};

/// For each selected coordinate i an independent permutation pi_i, uniform over all N! (identity
/// included); member n gets the value of member pi_i(n) (WASH, arXiv 2405.17517). Drawn by
/// Fisher-Yates from stream (run_seed, kPermute, exchange, 0). With two members, where a selected
/// coordinate is swapped or stays, those to be swapped are drawn as in DrawIndices at half the rates.
ShufflePlan DrawShufflePlan(const DrawKey& key, std::span<const SelectedTensor> tensors,
                            int members, int rank);

/// The selection rate q so that a share `moved` of all (member, coordinate) places changes: a
/// uniform permutation leaves a place alone with probability 1/N, so q = moved / (1 - 1/N), at
/// most 1. With one member: 0.
double SelectionRate(double moved, int members);

/// values[k] = flat[index[k]]. flat: float32 [P]; index: int64 [n], in range; values: float32 [n];
/// one device.
void GatherAt(const torch::Tensor& flat, const torch::Tensor& index, torch::Tensor values);
/// flat[index[k]] = values[k], no index twice. The bits travel unchanged, NaN payloads included, as
/// in GatherAt.
void ScatterAt(const torch::Tensor& values, const torch::Tensor& index, torch::Tensor flat);

/// Carries out plans on flat vectors; keeps its buffers between calls (two of the moved values, and
/// for Swap one of their coordinates).
class SparseExchange {
 public:
  /// Every value of `flats` at a planned coordinate moves as the plan says, all of them by the same
  /// permutation; the values for one peer travel in one message (flats one after another). flats:
  /// float32 [P] each, on comm.device().
  void Shuffle(const ShufflePlan& plan, std::span<torch::Tensor> flats, Communicator& comm);

  /// Shuffle by DrawShufflePlan(key, tensors, comm.size(), comm.rank()), bit for bit; what moves is
  /// rounded to the payload. Two members on the CPU with float32 read what they send while they
  /// draw: memory is waited for beside the arithmetic. Returns the number of values of one flat that
  /// changed.
  int64_t Shuffle(const DrawKey& key, std::span<const SelectedTensor> tensors,
                  std::span<torch::Tensor> flats, Communicator& comm,
                  Payload payload = Payload::kFloat32);

  /// Replaces the values at `indices` (ascending, equal on all ranks) by their mean over the ranks
  /// (SPARTA). Float32: one AllReduceSum. Else the messages are those of an AllReduceSum, rounded:
  /// the owner of a share averages the ranks' rounded values in float32, in the order of the ranks,
  /// and all ranks take the same rounded mean.
  void Average(std::span<const int64_t> indices, torch::Tensor& flat, Communicator& comm,
               Payload payload = Payload::kFloat32);

 private:
  void Swap(const DrawKey& key, std::span<const SelectedTensor> tensors,
            std::span<torch::Tensor> flats, Communicator& comm);

  torch::Tensor send_, receive_;
  std::vector<int64_t> swapped_;
};

}  // namespace basin::comm
