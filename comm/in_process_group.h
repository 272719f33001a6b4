// What the ranks of one in-process group share: their seats, the points at which they meet, and how the group ends.
#pragma once

#include <torch/types.h>

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace basin::comm {

/// What a rank publishes on entering an operation. Pointers stay valid until every rank has left it.
struct Call {
  std::string_view operation;
  const torch::Tensor* x = nullptr;  ///< AllToAllV: what is sent; Barrier: null
  int root = -1;
  std::span<const int64_t> send_counts = {};
  std::span<const int64_t> recv_counts = {};
};

/// What a rank has put down for its peers in one transfer. Nobody changes it any more.
struct Parcel {
  torch::Tensor values;  ///< part p is for rank p
  std::vector<int64_t> counts;
};

/// Until when a rank waits, and the time-out to name when it was in vain.
struct WaitLimit {
  std::chrono::steady_clock::time_point deadline;
  std::chrono::milliseconds timeout;
};

/// Ranks meet at numbered points. Between two points of one operation they read each other's published memory; a rank
/// that must give up waits until nobody reads any more, so no memory vanishes under a reader.
/// Its ranks may be some of a larger group: first, first + 1, ...
class InProcessGroup {
 public:
  explicit InProcessGroup(int size, int first = 0);
  int size() const { return static_cast<int>(seats_.size()); }

  void TakeSeat(int rank);
  /// A peer that waits for this rank learns at once that it waits in vain.
  void LeaveSeat(int rank);

  /// Publishes the call; returns when all ranks have published the same one. From then on the rank is a reader.
  void Enter(int rank, const Call& call, const WaitLimit& limit);
  /// All ranks have come to the same point of the operation. `reads_on`: the rank stays a reader.
  void Meet(int rank, bool reads_on, const WaitLimit& limit);
  /// A reader that throws or that needs no last meeting.
  void Release(int rank, bool failed);
  /// Valid for readers only.
  const Call& call_of(int rank) const { return seats_[rank - first_].call; }

  /// Puts down this rank's parcel of a transfer (numbered alike on all ranks); waits for nobody.
  void Post(int rank, int64_t transfer, Parcel parcel);
  /// The parcels of those that send this rank something, null for the others; waits for them. `counts`: what is expected of each rank.
  std::vector<std::shared_ptr<const Parcel>> Collect(int rank, int64_t transfer, std::span<const int64_t> counts, const WaitLimit& limit);

  void Abort(int rank, const std::string& reason);
  /// The rank that ended the group; -1 when the group is well.
  int failed_rank() const;

 private:
  struct SeatState {
    bool taken = false;
    bool left = false;
    int64_t step = 0;  ///< meeting points reached
    Call call;
  };
  struct Failure {
    int rank;
    std::string reason;
  };

  SeatState& seat(int rank) { return seats_[rank - first_]; }
  const SeatState& seat(int rank) const { return seats_[rank - first_]; }
  // All of these need the mutex.
  bool Step(int rank);  ///< true when this rank was the last to come to its point
  bool AllHere(int rank) const;
  std::vector<int> Missing(int rank) const;
  void CheckAgreement(int rank);
  void WaitForAll(std::unique_lock<std::mutex>& lock, int rank, const WaitLimit& limit);
  /// Until `missing` names nobody; `call` says in what.
  template <typename Missing>
  void WaitFor(std::unique_lock<std::mutex>& lock, int rank, const WaitLimit& limit, const std::string& call, const Missing& missing);
  [[noreturn]] void ThrowFailure(int rank, const std::string& call) const;
  void StopReading();
  void Fail(int rank, std::string reason);

  const int first_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<SeatState> seats_;
  struct Posted {
    std::vector<std::shared_ptr<const Parcel>> parcels;  ///< one a rank, null as long as it has not come
    int collected = 0;
  };
  std::map<int64_t, Posted> posted_;  ///< transfers that not all ranks have collected
  std::optional<Failure> failure_;
  int readers_ = 0;  ///< ranks between two meeting points of an operation
};

/// One rank's stay in one operation: publishes on construction, stops reading on every way out.
class Visit {
 public:
  Visit(InProcessGroup& group, int rank, std::chrono::milliseconds timeout, const Call& call);
  ~Visit();
  Visit(const Visit&) = delete;
  Visit& operator=(const Visit&) = delete;

  const torch::Tensor& of(int rank) const { return *group_.call_of(rank).x; }
  const Call& call_of(int rank) const { return group_.call_of(rank); }
  void Meet(bool reads_on);
  /// The meetings that follow have this much time from now.
  void Extend(std::chrono::milliseconds timeout);
  /// No memory was read, so nobody needs to be waited for.
  void FinishWithoutMeeting() { done_ = true; }

 private:
  InProcessGroup& group_;
  int rank_;
  WaitLimit limit_;
  bool reading_ = false;
  bool done_ = false;
};

}  // namespace basin::comm
