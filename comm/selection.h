// Which coordinates are selected, told batch by batch while they are drawn, so that a caller can
// work on the last ones beside the arithmetic of the next.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>

#include "comm/geometric.h"
#include "comm/sparse_exchange.h"

namespace basin::comm {

/// Throws CheckFailed where tensors overlap, do not ascend, or have a rate that is not a number.
void CheckTensors(std::span<const SelectedTensor> tensors);

/// With two members a selected coordinate is swapped or stays, each with probability 1/2. So those
/// to be swapped are drawn as such: at this factor of the rates.
inline constexpr double kSwapped = 0.5;

/// Calls visit(std::span<const int64_t>) with the selected coordinates of one tensor, a batch at a
/// time, ascending.
template <typename Visit>
void VisitSelectedOf(const SelectedTensor& tensor, double rate, const base::StreamId& id,
                     Visit&& visit) {
  if (rate <= 0) return;
  const int64_t end = tensor.offset + tensor.num_elements;
  const bool every = rate >= 1;
  GeometricSkips skips(id, every ? 0.5 : rate);
  for (int64_t next = tensor.offset; next < end;) {
    auto batch = every ? std::array<int64_t, GeometricSkips::kBatch>{} : skips.Next();
    for (int64_t& place : batch) {
      next += place;
      place = next++;
    }
    // The whole batch is within the tensor in all calls but the last.
    const auto last = next <= end ? batch.end() : std::lower_bound(batch.begin(), batch.end(), end);
    visit(std::span<const int64_t>(batch.begin(), last));
  }
}

/// Each coordinate with probability `factor` times its tensor's rate (at most 1).
template <typename Visit>
void VisitSelected(const DrawKey& key, std::span<const SelectedTensor> tensors, double factor,
                   Visit&& visit) {
  for (size_t t = 0; t < tensors.size(); ++t) {
    VisitSelectedOf(tensors[t], factor * std::min(tensors[t].rate, 1.0),
                    {key.run_seed, base::Purpose::kSelect, key.exchange, t}, visit);
  }
}

}  // namespace basin::comm
