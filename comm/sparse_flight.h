// A sparse exchange in two halves: it is sent, and applied later, while the member goes on computing.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "comm/communicator.h"
#include "comm/payload.h"
#include "comm/sparse_exchange.h"

namespace basin::comm {

/// One exchange of WASH or SPARTA between Send and Land. Does not outlive the communicator it was sent on.
class SparseFlight {
 public:
  /// Values of `num_flats` vectors move as the plan says, one message a peer. `device`: of the flats.
  static SparseFlight OfShuffle(ShufflePlan plan, int64_t num_flats, Payload payload, torch::Device device = torch::kCPU);
  /// One vector's values at `indices` (ascending, equal on all ranks) become the mean over the ranks of the rounded values, summed in
  /// float32 in the order of the ranks. Every rank sends all its values to every other: with a delay there is no time for a second round
  /// in which the ranks share sums.
  static SparseFlight OfAverage(std::vector<int64_t> indices, Payload payload, torch::Device device = torch::kCPU);

  /// Sends the flats' values, float32 [P] each, which may then change. One StartAllToAllV.
  void Send(std::span<const torch::Tensor> flats, Communicator& comm);
  /// The same message from own() alone, in a run that goes on from a checkpoint.
  void SendAgain(Communicator& comm);
  bool sent() const { return transfer_ != nullptr; }

  /// Waits until all has arrived and only then changes anything: at each coordinate i of flat f
  ///   flat[i] <- arrived[i] + corrections[f] (flat[i] - base[i]),
  /// base[i] being what flat[i] was when it was sent: what the member has learnt since is kept (AsyncMesh, arXiv 2601.22442). Where
  /// flat[i] still has the bits of base[i] it takes those of arrived[i], and with a correction of 0 always. A selected value that stays here
  /// counts as arrived where base has followed another flight: else two members would end with the value that a third one had. Once.
  /// What changes is not learnt, so the bases of `later`, the flights of these flats that are still in the air, move along: else the changes
  /// of flights that overlap would add up at the coordinates that they share.
  void Land(std::span<torch::Tensor> flats, std::span<const double> corrections, std::span<SparseFlight* const> later = {});

  /// What the flats held at the coordinates when they were sent, float32 [num_flats x coordinates], in the order of their arrival, then of
  /// those that stay; zero before. With the plan all that is needed to send again.
  torch::Tensor& own() { return own_; }
  /// own() and the changes it has followed; a run that goes on needs both.
  torch::Tensor& base() { return base_; }

 private:
  enum class Kind { kShuffle, kAverage };
  SparseFlight(Kind kind, ShufflePlan plan, int64_t num_flats, Payload payload, torch::Device device);
  torch::Tensor Arrived() const;
  void Gather(std::span<const torch::Tensor> flats, torch::Tensor& values) const;  // at all places
  void Apply(std::span<torch::Tensor> flats, std::span<const double> corrections);
  void Follow(const torch::Tensor& before, std::span<const torch::Tensor> flats);
  template <typename Flat, typename Visit>
  void ForEachPlace(std::span<Flat> flats, Visit&& visit) const;

  Kind kind_;
  ShufflePlan plan_;             // of an average: its coordinates come from one source, 0
  std::vector<int64_t> places_;  // received, then those that stay: one more part
  std::vector<int64_t> counts_;
  int64_t num_flats_;
  Payload payload_;
  torch::Tensor own_, base_, bytes_, receive_;
  std::unique_ptr<Transfer> transfer_;
};

}  // namespace basin::comm
