#include "comm/rules.h"

#include <c10/core/impl/VirtualGuardImpl.h>

#include <algorithm>
#include <cstring>

#include "base/error.h"

namespace basin::comm {

void CheckTensor(const Seat& seat, std::string_view operation, const torch::Tensor& x) {
  BASIN_CHECK(x.defined(), "rank ", seat.rank, ": ", operation, " was given an undefined tensor");
  const torch::Dtype dtype = x.scalar_type();
  const bool known = dtype == torch::kFloat32 || dtype == torch::kFloat64 || dtype == torch::kInt64 ||
                     dtype == torch::kUInt8;
  BASIN_CHECK(known, "rank ", seat.rank, ": ", operation, " was given dtype ", dtype,
              "; allowed: float32, float64, int64, uint8");
  BASIN_CHECK(x.is_contiguous(), "rank ", seat.rank, ": ", operation, " needs a contiguous tensor; found sizes ",
              x.sizes(), ", strides ", x.strides());
  const bool here = x.device().type() == seat.device.type() &&
                    (!seat.device.has_index() || x.device().index() == seat.device.index());
  BASIN_CHECK(here, "rank ", seat.rank, ": ", operation, " was given a tensor on ", x.device(),
              "; this communicator works on ", seat.device);
}

void CheckVector(const Seat& seat, std::string_view operation, const torch::Tensor& x) {
  CheckTensor(seat, operation, x);
  BASIN_CHECK(x.dim() == 1, "rank ", seat.rank, ": ", operation, " needs a tensor [n]; found sizes ", x.sizes());
}

void CheckSummable(const Seat& seat, std::string_view operation, const torch::Tensor& x) {
  CheckVector(seat, operation, x);
  BASIN_CHECK(x.scalar_type() != torch::kUInt8, "rank ", seat.rank, ": ", operation,
              " cannot sum uint8, which overflows; allowed: float32, float64, int64");
}

void CheckRoot(const Seat& seat, int root) {
  BASIN_CHECK(0 <= root && root < seat.size, "rank ", seat.rank, ": Broadcast from root ", root, "; allowed: 0 to ",
              seat.size - 1);
}

namespace {

void CheckCounts(const Seat& seat, std::string_view side, const torch::Tensor& x, std::span<const int64_t> counts) {
  BASIN_CHECK(std::ssize(counts) == seat.size, "rank ", seat.rank, ": AllToAllV has ", counts.size(), " ", side,
              " counts; it needs one a rank, ", seat.size);
  int64_t sum = 0;
  for (int64_t count : counts) {
    BASIN_CHECK(count >= 0, "rank ", seat.rank, ": AllToAllV has the negative ", side, " count ", count);
    sum += count;
  }
  BASIN_CHECK(sum == x.numel(), "rank ", seat.rank, ": AllToAllV's ", side, " counts add up to ", sum,
              ", its tensor has ", x.numel(), " elements");
}

}  // namespace

void CheckAllToAllV(const Seat& seat, const torch::Tensor& send, std::span<const int64_t> send_counts,
                    const torch::Tensor& recv, std::span<const int64_t> recv_counts) {
  CheckVector(seat, "AllToAllV", send);
  CheckVector(seat, "AllToAllV", recv);
  BASIN_CHECK(send.scalar_type() == recv.scalar_type(), "rank ", seat.rank, ": AllToAllV sends ", send.scalar_type(),
              " but receives ", recv.scalar_type());
  CheckCounts(seat, "send", send, send_counts);
  CheckCounts(seat, "receive", recv, recv_counts);
  const int64_t out = send_counts[seat.rank], in = recv_counts[seat.rank];
  BASIN_CHECK(out == in, "rank ", seat.rank, ": AllToAllV sends ", out, " elements to itself but receives ", in);
}

void SumInRankOrder(int rank, std::span<const torch::Tensor> parts, torch::Tensor own) {
  // IEEE addition commutes, so only the ranks before this one need a buffer: own = (p0 + p1 + ...) + own.
  if (rank > 0) {
    torch::Tensor before = parts[0];
    if (rank > 1) before = parts[0] + parts[1];
    for (int p = 2; p < rank; ++p) before.add_(parts[p]);
    own.add_(before);
  }
  for (size_t p = rank + 1; p < parts.size(); ++p) own.add_(parts[p]);
}

TreePlace BroadcastPlace(const Seat& seat, int root) {
  const int place = (seat.rank - root + seat.size) % seat.size;
  TreePlace tree;
  int bit = 1;
  while (bit < seat.size && (place & bit) == 0) bit <<= 1;
  if (place != 0) tree.parent = (place - bit + root) % seat.size;
  for (bit >>= 1; bit > 0; bit >>= 1) {
    if (place + bit < seat.size) tree.children.push_back((place + bit + root) % seat.size);
  }
  return tree;
}

Traffic AllReduceTraffic(const Seat& seat, int64_t n, int64_t element_bytes) {
  const auto [begin, end] = ShardBounds(n, seat.size, seat.rank);
  const int64_t shard = end - begin, peers = seat.size - 1;
  // Owners of an empty shard (n < size) get no message and send none.
  const int64_t owners = std::min<int64_t>(n, seat.size);
  const int64_t scatter = owners - (shard > 0 ? 1 : 0), gather = shard > 0 ? peers : 0;
  return {.bytes = ((n - shard) + peers * shard) * element_bytes, .messages = scatter + gather};
}

Traffic AllToAllTraffic(const Seat& seat, const torch::Tensor& send, std::span<const int64_t> send_counts) {
  Traffic traffic;
  for (int p = 0; p < seat.size; ++p) {
    if (p == seat.rank || send_counts[p] == 0) continue;
    traffic.bytes += send_counts[p] * ElementBytes(send);
    ++traffic.messages;
  }
  return traffic;
}

void AwaitDevice(torch::Device device) {
  if (device.is_cpu()) return;
  c10::impl::VirtualGuardImpl(device.type()).getStream(device).synchronize();
}

void CopyElements(const torch::Tensor& to, int64_t to_begin, const torch::Tensor& from, int64_t from_begin, int64_t count) {
  if (count == 0) return;
  if (to.is_cpu()) {
    std::memcpy(BytesAt(to, to_begin), BytesAt(from, from_begin), count * to.element_size());
  } else {
    to.view(-1).narrow(0, to_begin, count).copy_(from.view(-1).narrow(0, from_begin, count));
  }
}

std::byte* BytesAt(const torch::Tensor& x, int64_t i) {
  return static_cast<std::byte*>(x.data_ptr()) + i * ElementBytes(x);
}

std::string SecondsText(std::chrono::milliseconds duration) {
  return Text(static_cast<double>(duration.count()) / 1000.0, " s");
}

std::string RanksText(std::span<const int> ranks) {
  std::string text = ranks.size() == 1 ? "rank " : "ranks ";
  for (size_t i = 0; i < ranks.size(); ++i) text += Text(i == 0 ? "" : ", ", ranks[i]);
  return text;
}

}  // namespace basin::comm
