#include "comm/in_process_group.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "comm/rules.h"

namespace basin::comm {
namespace {

std::string CallText(const Call& call) {
  std::string text = Text(call.operation, "(");
  if (call.x != nullptr) text += Text(call.x->scalar_type(), " ", call.x->sizes());
  if (call.root >= 0) text += Text(", root ", call.root);
  return text + ")";
}

/// AllToAllV's lengths differ from rank to rank; its counts are compared pair by pair instead.
bool SameCall(const Call& a, const Call& b) {
  if (a.operation != b.operation || a.root != b.root) return false;
  if (a.x == nullptr) return true;
  if (a.x->scalar_type() != b.x->scalar_type()) return false;
  return !a.send_counts.empty() || a.x->sizes() == b.x->sizes();
}

}  // namespace

InProcessGroup::InProcessGroup(int size, int first) : first_(first), seats_(std::max(size, 0)) {
  BASIN_CHECK(size >= 1, "a group of size ", size, " was asked for");
}

void InProcessGroup::TakeSeat(int rank) {
  std::lock_guard lock(mutex_);
  BASIN_CHECK(first_ <= rank && rank < first_ + size(), "seat ", rank, " of a group of ", size(), " from ", first_);
  BASIN_CHECK(!std::exchange(seat(rank).taken, true), "seat ", rank, " was taken before");
}

void InProcessGroup::LeaveSeat(int rank) {
  std::lock_guard lock(mutex_);
  seat(rank).left = true;
  changed_.notify_all();
}

void InProcessGroup::Enter(int rank, const Call& call, const WaitLimit& limit) {
  std::unique_lock lock(mutex_);
  seat(rank).call = call;
  const bool last = Step(rank);
  if (last && !failure_) CheckAgreement(rank);
  if (last) changed_.notify_all();
  WaitForAll(lock, rank, limit);
  ++readers_;
}

void InProcessGroup::Meet(int rank, bool reads_on, const WaitLimit& limit) {
  std::unique_lock lock(mutex_);
  StopReading();
  if (Step(rank)) changed_.notify_all();
  WaitForAll(lock, rank, limit);
  if (reads_on) ++readers_;
}

void InProcessGroup::Release(int rank, bool failed) {
  std::unique_lock lock(mutex_);
  StopReading();
  if (!failed) return;
  Fail(rank, Text("it failed inside ", CallText(seat(rank).call)));
  changed_.wait(lock, [this] { return readers_ == 0; });
}

void InProcessGroup::Abort(int rank, const std::string& reason) {
  std::lock_guard lock(mutex_);
  Fail(rank, reason);
}

int InProcessGroup::failed_rank() const {
  std::lock_guard lock(mutex_);
  return failure_ ? failure_->rank : -1;
}

bool InProcessGroup::Step(int rank) {
  ++seat(rank).step;
  return AllHere(rank);
}

bool InProcessGroup::AllHere(int rank) const {
  return std::ranges::all_of(seats_, [&](const SeatState& other) { return other.step >= seat(rank).step; });
}

std::vector<int> InProcessGroup::Missing(int rank) const {
  std::vector<int> missing;
  for (int p = first_; p < first_ + size(); ++p) {
    if (seat(p).step < seat(rank).step) missing.push_back(p);
  }
  return missing;
}

void InProcessGroup::CheckAgreement(int rank) {
  const int end = first_ + size();
  for (int p = first_ + 1; p < end; ++p) {
    if (!SameCall(seats_[0].call, seat(p).call)) {
      return Fail(rank, Text("the ranks disagree: rank ", first_, " calls ", CallText(seats_[0].call), ", rank ", p, " calls ",
                             CallText(seat(p).call), "; every rank must make the same calls in the same order"));
    }
  }
  if (seats_[0].call.send_counts.empty()) return;
  for (int from = first_; from < end; ++from) {
    for (int to = first_; to < end; ++to) {
      const int64_t sent = seat(from).call.send_counts[to], expected = seat(to).call.recv_counts[from];
      if (sent != expected) {
        return Fail(rank, Text("the ranks disagree: in AllToAllV rank ", from, " sends ", sent, " elements to rank ",
                               to, ", which expects ", expected));
      }
    }
  }
}

void InProcessGroup::WaitForAll(std::unique_lock<std::mutex>& lock, int rank, const WaitLimit& limit) {
  if (!failure_ && AllHere(rank)) return;
  const std::string call = CallText(seat(rank).call);
  WaitFor(lock, rank, limit, call, [&] { return Missing(rank); });
  if (!failure_) return;
  changed_.wait(lock, [this] { return readers_ == 0; });
  ThrowFailure(rank, call);
}

template <typename Missing>
void InProcessGroup::WaitFor(std::unique_lock<std::mutex>& lock, int rank, const WaitLimit& limit, const std::string& call,
                             const Missing& missing) {
  for (std::vector<int> peers; !failure_ && !(peers = missing()).empty();) {
    for (int p : peers) {
      if (seat(p).left) Fail(p, Text("it has left the group; rank ", rank, " waits for it in ", call));
    }
    if (failure_) return;
    if (changed_.wait_until(lock, limit.deadline) == std::cv_status::timeout && !failure_ && !(peers = missing()).empty()) {
      Fail(rank, Text(call, " waited ", SecondsText(limit.timeout), " for ", RanksText(peers),
                      "; a peer that is only slow needs a longer comm.timeout_s"));
    }
  }
}

void InProcessGroup::ThrowFailure(int rank, const std::string& call) const {
  if (failure_->rank == rank) throw CommError(Text("rank ", rank, ": ", failure_->reason));
  throw CommError(Text("rank ", rank, ": ", call, " ended because of rank ", failure_->rank, ": ", failure_->reason));
}

void InProcessGroup::Post(int rank, int64_t transfer, Parcel parcel) {
  const std::lock_guard lock(mutex_);
  if (failure_) ThrowFailure(rank, Text("StartAllToAllV, transfer ", transfer));
  Posted& posted = posted_[transfer];
  posted.parcels.resize(seats_.size());
  posted.parcels[rank - first_] = std::make_shared<const Parcel>(std::move(parcel));
  changed_.notify_all();
}

std::vector<std::shared_ptr<const Parcel>> InProcessGroup::Collect(int rank, int64_t transfer, std::span<const int64_t> counts,
                                                                   const WaitLimit& limit) {
  std::unique_lock lock(mutex_);
  const std::string call = Text("Wait for the AllToAllV of transfer ", transfer);
  Posted& posted = posted_.at(transfer);
  const auto parcel_of = [&](int peer) -> const std::shared_ptr<const Parcel>& { return posted.parcels[peer - first_]; };
  WaitFor(lock, rank, limit, call, [&] {
    std::vector<int> missing;
    for (int p = first_; p < first_ + size(); ++p) {
      if (counts[p] > 0 && !parcel_of(p)) missing.push_back(p);
    }
    return missing;
  });
  for (int p = first_; p < first_ + size() && !failure_; ++p) {
    const int64_t sent = parcel_of(p) ? parcel_of(p)->counts[rank] : counts[p];
    if (sent != counts[p]) {
      Fail(rank, Text("the ranks disagree: in ", call, " rank ", p, " sends ", sent, " elements to rank ", rank, ", which expects ",
                      counts[p]));
    }
  }
  if (failure_) ThrowFailure(rank, call);
  std::vector<std::shared_ptr<const Parcel>> parcels = posted.parcels;
  if (++posted.collected == size()) posted_.erase(transfer);
  return parcels;
}

void InProcessGroup::StopReading() {
  if (--readers_ == 0 && failure_) changed_.notify_all();
}

void InProcessGroup::Fail(int rank, std::string reason) {
  if (failure_) return;  // the first failure is the cause, the others follow from it
  failure_ = Failure{rank, std::move(reason)};
  changed_.notify_all();
}

Visit::Visit(InProcessGroup& group, int rank, std::chrono::milliseconds timeout, const Call& call)
    : group_(group), rank_(rank), limit_{std::chrono::steady_clock::now() + timeout, timeout} {
  group_.Enter(rank_, call, limit_);
  reading_ = true;
}

Visit::~Visit() {
  if (reading_) group_.Release(rank_, /*failed=*/!done_);
}

void Visit::Meet(bool reads_on) {
  reading_ = false;  // a meeting that throws has stopped reading
  group_.Meet(rank_, reads_on, limit_);
  reading_ = reads_on;
}

void Visit::Extend(std::chrono::milliseconds timeout) { limit_ = {std::chrono::steady_clock::now() + timeout, timeout}; }

}  // namespace basin::comm
