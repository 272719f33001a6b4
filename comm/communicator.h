// The contract of every backend. Read this before anything else in comm/.
#pragma once

#include <torch/types.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <utility>

namespace basin::comm {

/// What this rank has really handed to its peers so far: payload bytes and messages, self excluded.
struct Traffic {
  int64_t bytes = 0;
  int64_t messages = 0;
};

/// Where a rank sits.
struct Seat {
  int rank = 0;
  int size = 1;
  torch::Device device = torch::kCPU;  ///< where this rank's tensors live
};

/// An AllToAllV under way, see Communicator::StartAllToAllV. Destroyed before Wait has returned, it is given up, and
/// what was to arrive is lost. Does not outlive its communicator.
class Transfer {
 public:
  Transfer() = default;
  virtual ~Transfer() = default;
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;
  /// Returns when all parts have arrived in `recv`; waits at most the communicator's timeout() from now on. Once.
  virtual void Wait() = 0;
};

/// A fixed group of ranks that work on tensors together.
///
/// Order:    every rank makes the same calls in the same order.
/// Tensors:  contiguous, on device(); dtypes float32, float64, int64, uint8 (sums: not uint8).
/// Result:   complete when the call returns (CUDA: visible to what is enqueued next on the current stream).
/// Bits:     sums are taken in the order of the ranks 0, 1, ..., so all ranks and the CPU backends give the same bits.
///           (nccl: the library's order; equal to the others for data that adds exactly.)
/// Threads:  one call at a time for each communicator.
/// Deadline: each call waits at most timeout() for its peers.
/// Failure:  CommError with rank, operation and the peers that are missing; afterwards only the destructor may be
///           called. Breaches of the contract that can be seen locally (dtype, size) are CheckFailed.
/// Size 1:   every operation is the identity and sends nothing.
class Communicator {
 public:
  explicit Communicator(const Seat& seat, std::chrono::milliseconds timeout)
      : seat_(seat), timeout_(timeout) {}
  virtual ~Communicator() = default;
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;

  int rank() const { return seat_.rank; }  ///< in [0, size())
  int size() const { return seat_.size; }
  torch::Device device() const { return seat_.device; }
  std::chrono::milliseconds timeout() const { return timeout_; }
  /// Phases differ in how long a healthy peer may stay away (evaluation is slower than a step).
  virtual void SetTimeout(std::chrono::milliseconds timeout) { timeout_ = timeout; }
  /// Asked again and again, on the waiting thread, while a call waits long for peers: who knows that they will not come
  /// throws, and the call fails. in_process does not ask: its ranks end together.
  void SetWatch(std::function<void()> watch) { watch_ = std::move(watch); }
  /// Grows with every call; never reset.
  virtual Traffic traffic() const { return traffic_; }
  virtual std::string_view name() const = 0;  ///< "in_process" | "mpi" | "nccl"

  /// Replaces x by the element-wise sum of all ranks' x. x: [n], the same n everywhere; n = 0 is allowed.
  /// CPU backends: reduce-scatter by all-to-all, then all-gather; rank r, owner of s_r of the n elements, sends
  /// (n - s_r) + (size - 1) s_r elements in at most 2 (size - 1) messages. Owners: ShardBounds.
  virtual void AllReduceSum(torch::Tensor& x) = 0;
  /// Returns [size, n]: row r is rank r's x. x: [n], the same n and dtype everywhere.
  virtual torch::Tensor AllGather(const torch::Tensor& x) = 0;
  /// Overwrites x with root's x. Same shape and dtype everywhere.
  virtual void Broadcast(torch::Tensor& x, int root) = 0;
  /// send: [sum of send_counts], part p goes to rank p; recv: [sum of recv_counts], part p comes from rank p; counts in
  /// elements, one a rank; send_counts[p] here equals recv_counts[rank()] at p. One message to each peer with a
  /// non-zero count, none to others. A rank whose counts are all zero calls too; a backend need not wait for it.
  virtual void AllToAllV(const torch::Tensor& send, std::span<const int64_t> send_counts,
                         torch::Tensor& recv, std::span<const int64_t> recv_counts) = 0;
  /// AllToAllV whose messages move while the caller does something else, other calls included. The caller leaves `send` and `recv` (not
  /// the counts) alone until Wait has returned; the transfer keeps their memory. Every rank starts the same transfers in the same order
  /// and may wait for them in any. Counted when it starts. Where a backend has nothing better, it is all done when this returns.
  virtual std::unique_ptr<Transfer> StartAllToAllV(const torch::Tensor& send, std::span<const int64_t> send_counts,
                                                   torch::Tensor& recv, std::span<const int64_t> recv_counts);
  /// Returns after all ranks have entered.
  virtual void Barrier() = 0;

 protected:
  /// May be empty.
  const std::function<void()>& watch() const { return watch_; }
  void CountTraffic(const Traffic& sent) {
    traffic_.bytes += sent.bytes;
    traffic_.messages += sent.messages;
  }

 private:
  Seat seat_;
  std::chrono::milliseconds timeout_;
  std::function<void()> watch_;
  Traffic traffic_;
};

/// A transfer with nothing left to wait for.
class DoneTransfer final : public Transfer {
 public:
  void Wait() override {}
};

inline std::unique_ptr<Transfer> Communicator::StartAllToAllV(const torch::Tensor& send, std::span<const int64_t> send_counts,
                                                              torch::Tensor& recv, std::span<const int64_t> recv_counts) {
  AllToAllV(send, send_counts, recv, recv_counts);
  return std::make_unique<DoneTransfer>();
}

/// Rank r owns elements [first, second) of n: the first n mod size ranks own one more than the others.
inline std::pair<int64_t, int64_t> ShardBounds(int64_t n, int size, int rank) {
  const int64_t base = n / size, extra = n % size;
  const int64_t begin = rank * base + std::min<int64_t>(rank, extra);
  return {begin, begin + base + (rank < extra ? 1 : 0)};
}

}  // namespace basin::comm
