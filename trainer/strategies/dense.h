// What all dense strategies share: a member's weights and batch-norm statistics as one vector, its
// mean over the members, and the bytes that the mean costs.
#pragma once

#include <torch/types.h>

#include <cstdint>

#include "comm/communicator.h"
#include "trainer/strategy.h"

namespace basin::trainer {

/// Weights alone, or weights and statistics (floating buffers; integer counters stay local in every
/// strategy).
enum class Carry { kWeights, kState };

/// Elements of the packed vector.
int64_t NumCarried(const RunShape& shape, Carry carry);

/// Fills packed, float32 [P] or [P + S] on the weights' device, with weights, then statistics.
/// Allocates it when undefined.
void Pack(const MemberState& member, Carry carry, torch::Tensor& packed);
/// Overwrites the member with a packed vector.
void Unpack(const torch::Tensor& packed, Carry carry, MemberState& member);
/// member <- member + pull (packed - member). pull = 1 gives `packed` to the bit, pull = 0 changes
/// no bit.
void PullTo(const torch::Tensor& packed, double pull, Carry carry, MemberState& member);

/// Takes the mean over the members; keeps its buffer between calls.
class DenseMean {
 public:
  explicit DenseMean(Carry carry) : carry_(carry) {}
  /// One AllReduceSum. The result lives until the next call; the caller may change it. The same
  /// bits on all ranks.
  torch::Tensor& Take(const MemberState& member, comm::Communicator& comm);

 private:
  Carry carry_;
  torch::Tensor mean_;
};

/// What one call sends: means over the ranks.
struct MeanTraffic {
  double bytes = 0, messages = 0;
  std::vector<ExpectedCall> calls{};
  double memory_bytes = 0;  ///< of its buffers
  MeanTraffic operator+(const MeanTraffic& other) const;
};
/// AllReduceSum of n elements on the CPU backends (comm/communicator.h).
MeanTraffic AllReduceTraffic(int64_t n, int64_t element_bytes, int members);
/// The same exchange so many times.
Forecast Repeat(const MeanTraffic& exchange, int64_t exchanges);

}  // namespace basin::trainer
