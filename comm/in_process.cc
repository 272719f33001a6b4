#include "comm/in_process.h"

#include <c10/core/impl/VirtualGuardImpl.h>

#include <cstring>
#include <exception>
#include <thread>
#include <utility>
#include <vector>

#include "comm/in_process_group.h"
#include "comm/rules.h"

namespace basin::comm {
namespace {

/// One rank's stay in one operation: publishes on construction, stops reading on every way out.
class Visit {
 public:
  Visit(InProcessGroup& group, int rank, std::chrono::milliseconds timeout, const Call& call)
      : group_(group), rank_(rank), limit_{std::chrono::steady_clock::now() + timeout, timeout} {
    group_.Enter(rank_, call, limit_);
    reading_ = true;
  }
  ~Visit() {
    if (reading_) group_.Release(rank_, /*failed=*/!done_);
  }
  Visit(const Visit&) = delete;
  Visit& operator=(const Visit&) = delete;

  const torch::Tensor& of(int rank) const { return *group_.call_of(rank).x; }
  std::span<const int64_t> send_counts_of(int rank) const { return group_.call_of(rank).send_counts; }

  void Meet(bool reads_on) {
    reading_ = false;  // a meeting that throws has stopped reading
    group_.Meet(rank_, reads_on, limit_);
    reading_ = reads_on;
  }
  /// No memory was read, so nobody needs to be waited for.
  void FinishWithoutMeeting() { done_ = true; }

 private:
  InProcessGroup& group_;
  int rank_;
  WaitLimit limit_;
  bool reading_ = false;
  bool done_ = false;
};

/// CUDA work is asynchronous and every rank has its own stream: what peers read must be complete.
void Complete(torch::Device device) {
  if (device.is_cpu()) return;
  c10::impl::VirtualGuardImpl(device.type()).getStream(device).synchronize();
}

void Copy(const torch::Tensor& to, int64_t to_begin, const torch::Tensor& from, int64_t from_begin, int64_t count) {
  if (count == 0) return;
  if (to.is_cpu()) {
    std::memcpy(BytesAt(to, to_begin), BytesAt(from, from_begin), count * to.element_size());
  } else {
    to.view(-1).narrow(0, to_begin, count).copy_(from.view(-1).narrow(0, from_begin, count));
  }
}

class InProcessCommunicator final : public Communicator {
 public:
  InProcessCommunicator(std::shared_ptr<InProcessGroup> group, const Seat& seat, std::chrono::milliseconds timeout)
      : Communicator(seat, timeout), seat_(seat), group_(std::move(group)) {
    group_->TakeSeat(seat.rank);
  }
  ~InProcessCommunicator() override { group_->LeaveSeat(seat_.rank); }

  std::string_view name() const override { return "in_process"; }

  void AllReduceSum(torch::Tensor& x) override {
    CheckSummable(seat_, "AllReduceSum", x);
    torch::NoGradGuard no_grad;
    Complete(device());
    Visit visit(*group_, rank(), timeout(), {.operation = "AllReduceSum", .x = &x});
    SumOwnShard(visit, x);
    Complete(device());
    visit.Meet(/*reads_on=*/true);
    for (int p = 0; p < size(); ++p) {
      const auto [begin, end] = ShardBounds(x.numel(), size(), p);
      if (p != rank()) Copy(x, begin, visit.of(p), begin, end - begin);
    }
    Complete(device());
    visit.Meet(/*reads_on=*/false);
    CountTraffic(AllReduceTraffic(seat_, x.numel(), ElementBytes(x)));
  }

  torch::Tensor AllGather(const torch::Tensor& x) override {
    CheckVector(seat_, "AllGather", x);
    torch::NoGradGuard no_grad;
    Complete(device());
    torch::Tensor rows = torch::empty({size(), x.numel()}, x.options().requires_grad(false));
    Visit visit(*group_, rank(), timeout(), {.operation = "AllGather", .x = &x});
    for (int p = 0; p < size(); ++p) Copy(rows, p * x.numel(), visit.of(p), 0, x.numel());
    Complete(device());
    visit.Meet(/*reads_on=*/false);
    if (x.numel() > 0) CountTraffic({(size() - 1) * TensorBytes(x), size() - 1});
    return rows;
  }

  void Broadcast(torch::Tensor& x, int root) override {
    CheckTensor(seat_, "Broadcast", x);
    CheckRoot(seat_, root);
    torch::NoGradGuard no_grad;
    Complete(device());
    Visit visit(*group_, rank(), timeout(), {.operation = "Broadcast", .x = &x, .root = root});
    if (rank() != root) Copy(x, 0, visit.of(root), 0, x.numel());
    Complete(device());
    visit.Meet(/*reads_on=*/false);
    // Counted as the tree that the message-passing backend sends, so that ledgers agree.
    const auto children = static_cast<int64_t>(BroadcastPlace(seat_, root).children.size());
    if (x.numel() > 0) CountTraffic({children * TensorBytes(x), children});
  }

  void AllToAllV(const torch::Tensor& send, std::span<const int64_t> send_counts, torch::Tensor& recv,
                 std::span<const int64_t> recv_counts) override {
    CheckAllToAllV(seat_, send, send_counts, recv, recv_counts);
    torch::NoGradGuard no_grad;
    Complete(device());
    Visit visit(*group_, rank(), timeout(),
                {.operation = "AllToAllV", .x = &send, .send_counts = send_counts, .recv_counts = recv_counts});
    int64_t to = 0;
    for (int p = 0; p < size(); ++p) {
      const std::span<const int64_t> theirs = visit.send_counts_of(p);
      int64_t from = 0;
      for (int before = 0; before < rank(); ++before) from += theirs[before];
      Copy(recv, to, visit.of(p), from, recv_counts[p]);
      to += recv_counts[p];
    }
    Complete(device());
    visit.Meet(/*reads_on=*/false);
    for (int p = 0; p < size(); ++p) {
      if (p != rank() && send_counts[p] > 0) CountTraffic({send_counts[p] * ElementBytes(send), 1});
    }
  }

  void Barrier() override {
    Visit visit(*group_, rank(), timeout(), {.operation = "Barrier"});
    visit.FinishWithoutMeeting();
  }

 private:
  void SumOwnShard(const Visit& visit, torch::Tensor& x) {
    const auto [begin, end] = ShardBounds(x.numel(), size(), rank());
    if (begin == end) return;
    std::vector<torch::Tensor> parts;
    for (int p = 0; p < size(); ++p) parts.push_back(visit.of(p).narrow(0, begin, end - begin));
    SumInRankOrder(rank(), parts, x.narrow(0, begin, end - begin));
  }

  Seat seat_;
  std::shared_ptr<InProcessGroup> group_;
};

}  // namespace

std::shared_ptr<InProcessGroup> MakeInProcessGroup(int size) { return std::make_shared<InProcessGroup>(size); }

std::unique_ptr<Communicator> MakeInProcess(std::shared_ptr<InProcessGroup> group, int rank,
                                            std::chrono::milliseconds timeout, torch::Device device) {
  const Seat seat{.rank = rank, .size = group->size(), .device = device};
  return std::make_unique<InProcessCommunicator>(std::move(group), seat, timeout);
}

void AbortGroup(InProcessGroup& group, int failed_rank, const std::string& reason) {
  group.Abort(failed_rank, reason);
}

void RunInProcess(int size, const std::function<void(Communicator&)>& body, std::chrono::milliseconds timeout,
                  torch::Device device) {
  const std::shared_ptr<InProcessGroup> group = MakeInProcessGroup(size);
  std::vector<std::exception_ptr> failures(size);
  const auto run = [&](int rank) {
    const std::unique_ptr<Communicator> communicator = MakeInProcess(group, rank, timeout, device);
    try {
      body(*communicator);
    } catch (const std::exception& error) {
      failures[rank] = std::current_exception();
      AbortGroup(*group, rank, error.what());
    } catch (...) {
      failures[rank] = std::current_exception();
      AbortGroup(*group, rank, "an exception without a message");
    }
  };
  {
    std::vector<std::jthread> threads;
    for (int rank = 0; rank < size; ++rank) threads.emplace_back(run, rank);
  }
  const int first = group->failed_rank();
  if (first >= 0 && failures[first]) std::rethrow_exception(failures[first]);
  for (const std::exception_ptr& failure : failures) {
    if (failure) std::rethrow_exception(failure);
  }
}

}  // namespace basin::comm
