#include "comm/sparse_flight.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <bit>
#include <utility>

#include "base/error.h"
#include "comm/sparse_parts.h"

namespace basin::comm {
namespace {

torch::Tensor Floats(int64_t n, torch::Device device) { return at::zeros({n}, torch::TensorOptions(torch::kFloat32).device(device)); }
torch::Tensor Bytes(int64_t n, torch::Device device) { return at::empty({n}, torch::TensorOptions(torch::kUInt8).device(device)); }

/// What is on its way to coordinates `at` of a flat.
struct Incoming {
  const torch::Tensor &at, arrived, base, own;
  bool stays;  ///< these are own: of interest only where base has moved away from it
};

/// Chosen among bits, not among floats: there a compiler may add -0 instead, which would turn a signalling NaN into a quiet one.
void MergeOnHost(const Incoming& in, float correction, torch::Tensor& flat) {
  const int64_t* at = in.at.const_data_ptr<int64_t>();
  const auto* arrived = static_cast<const uint32_t*>(in.arrived.const_data_ptr());
  const auto* base = static_cast<const uint32_t*>(in.base.const_data_ptr());
  const auto* own = static_cast<const uint32_t*>(in.own.const_data_ptr());
  auto* values = static_cast<uint32_t*>(flat.mutable_data_ptr());
  for (int64_t k = 0, n = in.at.numel(); k < n; ++k) {
    if (in.stays && base[k] == own[k]) continue;
    uint32_t& value = values[at[k]];
    const float learnt = std::bit_cast<float>(value) - std::bit_cast<float>(base[k]);
    const float corrected = std::bit_cast<float>(arrived[k]) + correction * learnt;
    value = value == base[k] ? arrived[k] : std::bit_cast<uint32_t>(corrected);
  }
}

void Merge(const Incoming& in, double correction, torch::Tensor& flat) {
  if (correction == 0 && !in.stays) return ScatterAt(in.arrived, in.at, flat);
  if (flat.is_cpu()) return MergeOnHost(in, static_cast<float>(correction), flat);
  const auto same = [](const torch::Tensor& x, const torch::Tensor& y) { return x.view(torch::kInt32).eq(y.view(torch::kInt32)); };
  const torch::Tensor now = flat.index_select(0, in.at);
  torch::Tensor merged = torch::where(same(now, in.base), in.arrived, in.arrived + correction * (now - in.base));
  if (in.stays) merged = torch::where(same(in.base, in.own), now, merged);
  flat.index_copy_(0, in.at, merged);
}

/// base moves from before to after; among bits where it stood at before.
void MoveOnHost(const torch::Tensor& from, const torch::Tensor& to, torch::Tensor& moved) {
  const auto* before = static_cast<const uint32_t*>(from.const_data_ptr());
  const auto* after = static_cast<const uint32_t*>(to.const_data_ptr());
  auto* base = static_cast<uint32_t*>(moved.mutable_data_ptr());
  for (int64_t k = 0, n = moved.numel(); k < n; ++k) {
    if (before[k] == after[k]) continue;
    const float change = std::bit_cast<float>(after[k]) - std::bit_cast<float>(before[k]);
    base[k] = base[k] == before[k] ? after[k] : std::bit_cast<uint32_t>(std::bit_cast<float>(base[k]) + change);
  }
}

}  // namespace

SparseFlight::SparseFlight(Kind kind, ShufflePlan plan, int64_t num_flats, Payload payload, torch::Device device)
    : kind_(kind),
      plan_(std::move(plan)),
      num_flats_(num_flats),
      payload_(payload) {
  places_ = plan_.receive_index;
  places_.insert(places_.end(), plan_.stay_index.begin(), plan_.stay_index.end());
  counts_ = plan_.receive_counts;
  counts_.push_back(std::ssize(plan_.stay_index));
  own_ = Floats(num_flats * std::ssize(places_), device);
  base_ = own_.clone();
}

template <typename Flat, typename Visit>
void SparseFlight::ForEachPlace(std::span<Flat> flats, Visit&& visit) const {
  ForEachPart(flats, IndexTensor(places_, own_.device()), counts_, visit);
}

SparseFlight SparseFlight::OfShuffle(ShufflePlan plan, int64_t num_flats, Payload payload, torch::Device device) {
  return {Kind::kShuffle, std::move(plan), num_flats, payload, device};
}

SparseFlight SparseFlight::OfAverage(std::vector<int64_t> indices, Payload payload, torch::Device device) {
  ShufflePlan plan{.receive_counts = {std::ssize(indices)}};
  plan.receive_index = std::move(indices);
  return {Kind::kAverage, std::move(plan), 1, payload, device};
}

void SparseFlight::Send(std::span<const torch::Tensor> flats, Communicator& comm) {
  BASIN_CHECK(std::ssize(flats) == num_flats_, "an exchange of ", num_flats_, " vectors was given ", flats.size());
  const at::NoGradGuard no_grad;
  const torch::Device device = comm.device();
  const int64_t value_bytes = num_flats_ * BytesOf(payload_);
  std::vector<int64_t> send_counts, receive_counts;
  if (kind_ == Kind::kAverage) {
    CheckFlat(flats.front(), comm);
    CheckRange(plan_.receive_index, flats.front());
  } else {
    CheckPlan(plan_, flats, comm);
  }
  Gather(flats, own_);
  base_.copy_(own_);
  if (kind_ == Kind::kAverage) {
    bytes_ = Encode(own_, payload_).repeat({comm.size()});
    plan_.members = comm.size();
    send_counts.assign(comm.size(), value_bytes * std::ssize(plan_.receive_index));
    receive_counts = send_counts;
  } else {
    torch::Tensor values = Floats(num_flats_ * std::ssize(plan_.send_index), device);
    PackParts(flats, IndexTensor(plan_.send_index, device), plan_.send_counts, values);
    bytes_ = Encode(values, payload_);
    send_counts = Times(plan_.send_counts, value_bytes);
    receive_counts = Times(plan_.receive_counts, value_bytes);
  }
  int64_t arriving = 0;
  for (const int64_t count : receive_counts) arriving += count;
  receive_ = Bytes(arriving, device);
  transfer_ = comm.StartAllToAllV(bytes_, send_counts, receive_, receive_counts);
}

void SparseFlight::SendAgain(Communicator& comm) {
  int64_t length = 0;
  for (const int64_t place : places_) length = std::max(length, place + 1);
  std::vector<torch::Tensor> flats;
  for (int64_t f = 0; f < num_flats_; ++f) flats.push_back(Floats(length, comm.device()));
  ForEachPlace(std::span(flats), [&](torch::Tensor& flat, const torch::Tensor& at, int64_t begin) { ScatterAt(own_.narrow(0, begin, at.numel()), at, flat); });
  const torch::Tensor base = base_.clone();  // it may have followed others
  Send(flats, comm);
  base_.copy_(base);
}

void SparseFlight::Gather(std::span<const torch::Tensor> flats, torch::Tensor& values) const {
  PackParts(flats, IndexTensor(places_, own_.device()), counts_, values);
}

void SparseFlight::Follow(const torch::Tensor& before, std::span<const torch::Tensor> flats) {
  torch::Tensor after = at::empty_like(base_);
  Gather(flats, after);
  if (base_.is_cpu()) return MoveOnHost(before, after, base_);
  const auto bits = [](const torch::Tensor& x) { return x.view(torch::kInt32); };
  const torch::Tensor moved = torch::where(bits(base_).eq(bits(before)), after, base_ + (after - before));
  base_.copy_(torch::where(bits(before).eq(bits(after)), base_, moved));
}

torch::Tensor SparseFlight::Arrived() const {
  const torch::Tensor values = Decode(receive_, payload_);
  if (kind_ == Kind::kShuffle) return at::cat({values, own_.narrow(0, values.numel(), own_.numel() - values.numel())});
  return MeanInRankOrder(values.view({plan_.members, own_.numel()}));
}

void SparseFlight::Land(std::span<torch::Tensor> flats, std::span<const double> corrections, std::span<SparseFlight* const> later) {
  BASIN_CHECK(sent() && std::ssize(flats) == num_flats_ && corrections.size() == flats.size(), "an exchange of ", num_flats_,
              " vectors lands on ", flats.size(), " with ", corrections.size(), " corrections");
  const at::NoGradGuard no_grad;
  transfer_->Wait();
  std::vector<torch::Tensor> before;
  for (const SparseFlight* other : later) other->Gather(flats, before.emplace_back(at::empty_like(other->base_)));
  Apply(flats, corrections);
  for (size_t k = 0; k < later.size(); ++k) later[k]->Follow(before[k], flats);
  transfer_.reset();
}

void SparseFlight::Apply(std::span<torch::Tensor> flats, std::span<const double> corrections) {
  const torch::Tensor arrived = Arrived();
  const double* correction = corrections.data();
  const int64_t stay_begin = num_flats_ * std::ssize(plan_.receive_index);
  ForEachPlace(flats, [&](torch::Tensor& flat, const torch::Tensor& at, int64_t begin) {
    const auto part = [&](const torch::Tensor& of) { return of.narrow(0, begin, at.numel()); };
    Merge({at, part(arrived), part(base_), part(own_), begin >= stay_begin}, correction[&flat - flats.data()], flat);
  });
}

}  // namespace basin::comm
