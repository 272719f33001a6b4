// Moving the values: gather, one all-to-all, scatter. The draws are in shuffle_plan.cc.
#include "comm/sparse_exchange.h"

#include <ATen/core/grad_mode.h>

#include <numeric>

#include "base/error.h"
#include "comm/selection.h"

namespace basin::comm {
namespace {

void CheckFlat(const torch::Tensor& flat, const Communicator& comm) {
  BASIN_CHECK(flat.defined() && flat.scalar_type() == torch::kFloat32 && flat.dim() == 1 &&
                  flat.is_contiguous(),
              "an exchange needs contiguous float32 [P]; found ",
              flat.defined() ? Text(flat.scalar_type(), " ", flat.sizes()) : "an undefined tensor");
  BASIN_CHECK(flat.device().type() == comm.device().type(), "an exchange needs its values on ",
              comm.device(), "; found ", flat.device());
}

/// `index` ascends, so its ends are its extremes.
void CheckRange(std::span<const int64_t> index, const torch::Tensor& flat) {
  if (index.empty()) return;
  BASIN_CHECK(index.front() >= 0 && index.back() < flat.numel(), "coordinates ", index.front(),
              " to ", index.back(), " do not lie in a vector of ", flat.numel(), " values");
}

void CheckGroups(std::span<const int64_t> index, std::span<const int64_t> counts,
                 const torch::Tensor& flat) {
  const int64_t sum = std::accumulate(counts.begin(), counts.end(), int64_t{0});
  BASIN_CHECK(sum == std::ssize(index), "counts add up to ", sum, " for ", index.size(),
              " coordinates");
  for (int64_t count : counts) {
    CheckRange(index.first(count), flat);
    index = index.subspan(count);
  }
}

/// A tensor over memory of the caller on the CPU, a copy on the GPU.
torch::Tensor IndexTensor(std::span<const int64_t> index, torch::Device device) {
  int64_t* data = const_cast<int64_t*>(index.data());  // from_blob knows no const; nobody writes
  return at::from_blob(data, {std::ssize(index)}, torch::TensorOptions(torch::kInt64)).to(device);
}

/// The first n values of `buffer`, which grows by half when it must, so that the sizes of the draws
/// settle quickly.
torch::Tensor Room(torch::Tensor& buffer, int64_t n, torch::Device device) {
  if (!buffer.defined() || buffer.numel() < n || buffer.device() != device) {
    buffer = at::empty({n + n / 2}, torch::TensorOptions(torch::kFloat32).device(device));
  }
  return buffer.narrow(0, 0, n);
}

std::vector<int64_t> Times(std::span<const int64_t> counts, int64_t factor) {
  std::vector<int64_t> product(counts.begin(), counts.end());
  for (int64_t& count : product) count *= factor;
  return product;
}

/// Calls copy(flat, part of the index, part of the buffer) so that the buffer holds, for each peer,
/// flat after flat.
template <typename Copy>
void ForEachPart(std::span<torch::Tensor> flats, const torch::Tensor& index,
                 std::span<const int64_t> counts, const torch::Tensor& buffer, Copy&& copy) {
  int64_t index_begin = 0, buffer_begin = 0;
  for (int64_t count : counts) {
    if (count == 0) continue;
    const torch::Tensor part = index.narrow(0, index_begin, count);
    for (torch::Tensor& flat : flats) {
      copy(flat, part, buffer.narrow(0, buffer_begin, count));
      buffer_begin += count;
    }
    index_begin += count;
  }
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
  BASIN_CHECK(plan.members == comm.size(), "a plan for ", plan.members, " members in a group of ",
              comm.size());
  for (const torch::Tensor& flat : flats) {
    CheckFlat(flat, comm);
    CheckGroups(plan.send_index, plan.send_counts, flat);
    CheckGroups(plan.receive_index, plan.receive_counts, flat);
  }
  if (plan.members == 1 || flats.empty()) return;
  const at::NoGradGuard no_grad;
  const int64_t width = std::ssize(flats);
  const torch::Tensor send = Room(send_, width * std::ssize(plan.send_index), comm.device());
  torch::Tensor receive = Room(receive_, width * std::ssize(plan.receive_index), comm.device());
  ForEachPart(flats, IndexTensor(plan.send_index, comm.device()), plan.send_counts, send, GatherAt);
  comm.AllToAllV(send, Times(plan.send_counts, width), receive, Times(plan.receive_counts, width));
  ForEachPart(flats, IndexTensor(plan.receive_index, comm.device()), plan.receive_counts, receive,
              [](torch::Tensor& flat, const torch::Tensor& at, const torch::Tensor& part) {
                ScatterAt(part, at, flat);
              });
}

int64_t SparseExchange::Shuffle(const DrawKey& key, std::span<const SelectedTensor> tensors,
                                std::span<torch::Tensor> flats, Communicator& comm) {
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
                             Communicator& comm) {
  CheckFlat(flat, comm);
  CheckRange(indices, flat);
  if (comm.size() == 1 || indices.empty()) return;
  const at::NoGradGuard no_grad;
  const torch::Tensor index = IndexTensor(indices, comm.device());
  torch::Tensor values = Room(send_, std::ssize(indices), comm.device());
  GatherAt(flat, index, values);
  comm.AllReduceSum(values);
  values.div_(comm.size());
  ScatterAt(values, index, flat);
}

}  // namespace basin::comm
