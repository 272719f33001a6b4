// Moving the values: gather, one all-to-all, scatter. The draws are in shuffle_plan.cc.
#include "comm/sparse_exchange.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

#include <utility>

#include "base/error.h"
#include "comm/selection.h"
#include "comm/sparse_flight.h"
#include "comm/sparse_parts.h"

namespace basin::comm {
namespace {

/// The first n values of `buffer`, which grows by half when it must, so that the sizes of the draws
/// settle quickly.
torch::Tensor Room(torch::Tensor& buffer, int64_t n, torch::Device device) {
  if (!buffer.defined() || buffer.numel() < n || buffer.device() != device) {
    buffer = at::empty({n + n / 2}, torch::TensorOptions(torch::kFloat32).device(device));
  }
  return buffer.narrow(0, 0, n);
}

/// Gathers what a draw selects, a little behind it: a place's line is fetched when it is drawn and
/// read when it has arrived.
class GatherBehind {
 public:
  /// Appends to index; buffer takes as many of the values as it has room for.
  GatherBehind(const torch::Tensor& flat, std::vector<int64_t>& index, torch::Tensor& buffer)
      : from_(flat.const_data_ptr<float>()),
        index_(index),
        to_(buffer.mutable_data_ptr<float>()),
        room_(buffer.numel()) {}

  void operator()(std::span<const int64_t> batch) {
    for (int64_t place : batch) __builtin_prefetch(from_ + place);
    index_.insert(index_.end(), batch.begin(), batch.end());
    GatherTo(std::ssize(index_) - kBehind);
  }
  void Finish() { GatherTo(std::ssize(index_)); }

 private:
  /// Places under way: a few batches, more than the processor's line fill buffers.
  static constexpr int64_t kBehind = 3 * GeometricSkips::kBatch;

  void GatherTo(int64_t end) {
    end = std::min(end, room_);
    for (; num_gathered_ < end; ++num_gathered_) to_[num_gathered_] = from_[index_[num_gathered_]];
  }

  const float* from_;
  std::vector<int64_t>& index_;
  float* to_;
  int64_t room_;
  int64_t num_gathered_ = 0;
};

/// The mean of the ranks' `values` by the two rounds of an AllReduceSum, in bytes of the payload.
torch::Tensor RoundedMean(const torch::Tensor& values, Payload payload, Communicator& comm) {
  const int64_t value_bytes = BytesOf(payload);
  std::vector<int64_t> shards;
  for (int p = 0; p < comm.size(); ++p) {
    const auto [begin, end] = ShardBounds(values.numel(), comm.size(), p);
    shards.push_back((end - begin) * value_bytes);
  }
  const std::vector<int64_t> mine(comm.size(), shards[comm.rank()]);
  const torch::Tensor own = Encode(values, payload);
  torch::Tensor rows = at::empty({comm.size() * mine[0]}, own.options()), all = at::empty_like(own);
  comm.AllToAllV(own, shards, rows, mine);
  const torch::Tensor mean =
      MeanInRankOrder(Decode(rows, payload).view({comm.size(), mine[0] / value_bytes}));
  comm.AllToAllV(Encode(mean, payload).repeat({comm.size()}), mine, all, shards);
  return Decode(all, payload);
}

}  // namespace

void GatherAt(const torch::Tensor& flat, const torch::Tensor& index, torch::Tensor values) {
  if (!flat.is_cpu()) {
    at::index_select_out(values, flat, 0, index);
    return;
  }
  const float* from = flat.const_data_ptr<float>();
  const int64_t* at = index.const_data_ptr<int64_t>();
  float* to = values.mutable_data_ptr<float>();
  // No prefetch: no address depends on a loaded value, so the misses overlap without it.
  for (int64_t k = 0, n = index.numel(); k < n; ++k) to[k] = from[at[k]];
}

void ScatterAt(const torch::Tensor& values, const torch::Tensor& index, torch::Tensor flat) {
  if (!flat.is_cpu()) {
    flat.index_copy_(0, index, values);
    return;
  }
  const float* from = values.const_data_ptr<float>();
  const int64_t* at = index.const_data_ptr<int64_t>();
  float* to = flat.mutable_data_ptr<float>();
  for (int64_t k = 0, n = index.numel(); k < n; ++k) to[at[k]] = from[k];
}

void SparseExchange::Shuffle(const ShufflePlan& plan, std::span<torch::Tensor> flats,
                             Communicator& comm) {
  CheckPlan(plan, flats, comm);
  if (plan.members == 1 || flats.empty()) return;
  const at::NoGradGuard no_grad;
  const int64_t width = std::ssize(flats);
  const torch::Tensor send = Room(send_, width * std::ssize(plan.send_index), comm.device());
  torch::Tensor receive = Room(receive_, width * std::ssize(plan.receive_index), comm.device());
  PackParts(flats, IndexTensor(plan.send_index, comm.device()), plan.send_counts, send);
  comm.AllToAllV(send, Times(plan.send_counts, width), receive, Times(plan.receive_counts, width));
  ForEachPart(flats, IndexTensor(plan.receive_index, comm.device()), plan.receive_counts,
              [&](torch::Tensor& flat, const torch::Tensor& at, int64_t begin) {
                ScatterAt(receive.narrow(0, begin, at.numel()), at, flat);
              });
}

int64_t SparseExchange::Shuffle(const DrawKey& key, std::span<const SelectedTensor> tensors,
                                std::span<torch::Tensor> flats, Communicator& comm,
                                Payload payload) {
  if (payload != Payload::kFloat32 && comm.size() > 1 && !flats.empty()) {
    ShufflePlan plan = DrawShufflePlan(key, tensors, comm.size(), comm.rank());
    const int64_t num_moved = plan.num_moved();
    SparseFlight flight =
        SparseFlight::OfShuffle(std::move(plan), std::ssize(flats), payload, comm.device());
    flight.Send(flats, comm);
    flight.Land(flats, std::vector<double>(flats.size()));
    return num_moved;
  }
  if (comm.size() != 2 || flats.empty() || !comm.device().is_cpu()) {
    const ShufflePlan plan = DrawShufflePlan(key, tensors, comm.size(), comm.rank());
    Shuffle(plan, flats, comm);
    return plan.num_moved();
  }
  CheckTensors(tensors);
  for (const torch::Tensor& flat : flats) {
    CheckFlat(flat, comm);
    const int64_t end = tensors.empty() ? 0 : tensors.back().offset + tensors.back().num_elements;
    BASIN_CHECK(end <= flat.numel(), "tensors that end at ", end, " do not lie in a vector of ",
                flat.numel(), " values");
  }
  Swap(key, tensors, flats, comm);
  return std::ssize(swapped_);
}

/// The first flat is packed while the places are drawn, as far as the last exchange's buffer
/// reaches; both members draw the same places.
void SparseExchange::Swap(const DrawKey& key, std::span<const SelectedTensor> tensors,
                          std::span<torch::Tensor> flats, Communicator& comm) {
  const at::NoGradGuard no_grad;
  if (!send_.defined()) send_ = at::empty({0}, torch::kFloat32);
  swapped_.clear();
  GatherBehind gather(flats.front(), swapped_, send_);
  VisitSelected(key, tensors, kSwapped, gather);
  gather.Finish();
  const int64_t width = std::ssize(flats), num_swapped = std::ssize(swapped_);
  const bool packed = width * num_swapped <= send_.numel();
  const torch::Tensor send = Room(send_, width * num_swapped, comm.device());
  torch::Tensor receive = Room(receive_, width * num_swapped, comm.device());
  const torch::Tensor index = IndexTensor(swapped_, comm.device());
  const auto part = [&](const torch::Tensor& buffer, int64_t flat) {
    return buffer.narrow(0, flat * num_swapped, num_swapped);
  };
  for (int64_t f = packed ? 1 : 0; f < width; ++f) GatherAt(flats[f], index, part(send, f));
  std::vector<int64_t> counts(2);
  counts[1 - comm.rank()] = width * num_swapped;
  comm.AllToAllV(send, counts, receive, counts);
  for (int64_t f = 0; f < width; ++f) ScatterAt(part(receive, f), index, flats[f]);
}

void SparseExchange::Average(std::span<const int64_t> indices, torch::Tensor& flat,
                             Communicator& comm, Payload payload) {
  CheckFlat(flat, comm);
  CheckRange(indices, flat);
  if (comm.size() == 1 || indices.empty()) return;
  const at::NoGradGuard no_grad;
  const torch::Tensor index = IndexTensor(indices, comm.device());
  torch::Tensor values = Room(send_, std::ssize(indices), comm.device());
  GatherAt(flat, index, values);
  if (payload == Payload::kFloat32) {
    comm.AllReduceSum(values);
    values.div_(comm.size());
  } else {
    values = RoundedMean(values, payload, comm);
  }
  ScatterAt(values, index, flat);
}

}  // namespace basin::comm
