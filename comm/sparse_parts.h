// What sparse exchanges share: checks of what they are given, and the layout of a message.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <span>
#include <vector>

#include "comm/sparse_exchange.h"

namespace basin::comm {

/// CheckFailed unless flat is contiguous float32 [P] on the communicator's kind of device.
void CheckFlat(const torch::Tensor& flat, const Communicator& comm);
/// CheckFailed unless all of `index` lies in flat. `index` ascends, so its ends are its extremes.
void CheckRange(std::span<const int64_t> index, const torch::Tensor& flat);
/// CheckFailed unless the plan is for this group, and its coordinates, as many as its counts say, lie in every flat.
void CheckPlan(const ShufflePlan& plan, std::span<const torch::Tensor> flats, const Communicator& comm);

/// int64 [n]: over memory of the caller on the CPU, a copy on the GPU.
torch::Tensor IndexTensor(std::span<const int64_t> index, torch::Device device);
std::vector<int64_t> Times(std::span<const int64_t> counts, int64_t factor);

/// A buffer of messages holds, for each peer, flat after flat: calls visit(flat, index of the part int64 [n], begin of the part in the
/// buffer). `index` holds the peers' coordinates one after another, counts[p] of them for peer p.
template <typename Flat, typename Visit>
void ForEachPart(std::span<Flat> flats, const torch::Tensor& index, std::span<const int64_t> counts, Visit&& visit) {
  int64_t index_begin = 0, buffer_begin = 0;
  for (const int64_t count : counts) {
    if (count == 0) continue;
    const torch::Tensor part = index.narrow(0, index_begin, count);
    for (Flat& flat : flats) {
      visit(flat, part, buffer_begin);
      buffer_begin += count;
    }
    index_begin += count;
  }
}

/// Fills the buffer, float32, with the flats' values at `index`, laid out as above.
void PackParts(std::span<const torch::Tensor> flats, const torch::Tensor& index, std::span<const int64_t> counts,
               const torch::Tensor& buffer);
/// [n] from rows float32 [N, n]: (row 0 + row 1 + ...) / N, in that order.
torch::Tensor MeanInRankOrder(const torch::Tensor& rows);

}  // namespace basin::comm
