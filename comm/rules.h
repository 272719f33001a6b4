// What the backends share: the checks a rank can make alone, the order of sums, the tree of a broadcast.
#pragma once

#include <torch/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "comm/communicator.h"

namespace basin::comm {

/// CheckFailed unless x is defined, contiguous, on the device of `seat` and of a dtype of the contract. `operation` and the
/// rank go into the message.
void CheckTensor(const Seat& seat, std::string_view operation, const torch::Tensor& x);
/// CheckTensor, and x is [n] (and, for a sum, not uint8).
void CheckVector(const Seat& seat, std::string_view operation, const torch::Tensor& x);
void CheckSummable(const Seat& seat, std::string_view operation, const torch::Tensor& x);
void CheckRoot(const Seat& seat, int root);
void CheckAllToAllV(const Seat& seat, const torch::Tensor& send, std::span<const int64_t> send_counts,
                    const torch::Tensor& recv, std::span<const int64_t> recv_counts);

/// own += the other ranks' parts so that the bits are those of ((part 0 + part 1) + part 2) + ...; parts[rank] is not read.
void SumInRankOrder(int rank, std::span<const torch::Tensor> parts, torch::Tensor own);

/// The binomial tree of a broadcast: whom this rank receives from (-1: it is the root) and sends to, largest subtree first.
struct TreePlace {
  int parent = -1;
  std::vector<int> children;
};
TreePlace BroadcastPlace(const Seat& seat, int root);

/// What AllReduceSum of n elements sends from this rank, by the formula of communicator.h.
Traffic AllReduceTraffic(const Seat& seat, int64_t n, int64_t element_bytes);
/// What AllToAllV of `send` sends: one message for each peer that gets something.
Traffic AllToAllTraffic(const Seat& seat, const torch::Tensor& send, std::span<const int64_t> send_counts);

/// Where the part for rank `to` begins in a buffer of parts of these lengths.
inline int64_t PartBegin(std::span<const int64_t> counts, int to) {
  return std::accumulate(counts.begin(), counts.begin() + to, int64_t{0});
}
inline int64_t ElementBytes(const torch::Tensor& x) { return static_cast<int64_t>(x.element_size()); }
inline int64_t TensorBytes(const torch::Tensor& x) { return static_cast<int64_t>(x.nbytes()); }
/// CUDA work is asynchronous and every rank has its own stream: returns once what this thread's stream has to do is done.
void AwaitDevice(torch::Device device);
/// `count` elements of one contiguous tensor into another on the same device.
void CopyElements(const torch::Tensor& to, int64_t to_begin, const torch::Tensor& from, int64_t from_begin, int64_t count);

/// Start of element `i` of a contiguous host tensor.
std::byte* BytesAt(const torch::Tensor& x, int64_t i);

/// "2 s", "1.5 s"
std::string SecondsText(std::chrono::milliseconds duration);
/// "rank 1", "ranks 1, 3"
std::string RanksText(std::span<const int> ranks);

}  // namespace basin::comm
