#include "comm/in_process.h"

#include <utility>
#include <vector>

#include "comm/in_process_group.h"
#include "comm/rank_threads.h"
#include "comm/rules.h"

namespace basin::comm {
namespace {

/// The other half of a StartAllToAllV.
class InProcessTransfer final : public Transfer {
 public:
  InProcessTransfer(const Communicator& comm, InProcessGroup& group, int64_t number, const torch::Tensor& recv,
                    std::span<const int64_t> recv_counts)
      : comm_(comm), group_(group), number_(number), recv_(recv), recv_counts_(recv_counts.begin(), recv_counts.end()) {}

  void Wait() override {
    const torch::NoGradGuard no_grad;
    const WaitLimit limit{std::chrono::steady_clock::now() + comm_.timeout(), comm_.timeout()};
    const auto parcels = group_.Collect(comm_.rank(), number_, recv_counts_, limit);
    int64_t to = 0;
    for (int p = 0; p < comm_.size(); to += recv_counts_[p++]) {
      if (recv_counts_[p] == 0) continue;
      CopyElements(recv_, to, parcels[p]->values, PartBegin(parcels[p]->counts, comm_.rank()), recv_counts_[p]);
    }
    AwaitDevice(comm_.device());  // before the parcels go
  }

 private:
  const Communicator& comm_;
  InProcessGroup& group_;
  int64_t number_;
  torch::Tensor recv_;
  std::vector<int64_t> recv_counts_;
};

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
    AwaitDevice(device());
    Visit visit(*group_, rank(), timeout(), {.operation = "AllReduceSum", .x = &x});
    SumOwnShard(visit, x);
    AwaitDevice(device());
    visit.Meet(/*reads_on=*/true);
    for (int p = 0; p < size(); ++p) {
      const auto [begin, end] = ShardBounds(x.numel(), size(), p);
      if (p != rank()) CopyElements(x, begin, visit.of(p), begin, end - begin);
    }
    AwaitDevice(device());
    visit.Meet(/*reads_on=*/false);
    CountTraffic(AllReduceTraffic(seat_, x.numel(), ElementBytes(x)));
  }

  torch::Tensor AllGather(const torch::Tensor& x) override {
    CheckVector(seat_, "AllGather", x);
    torch::NoGradGuard no_grad;
    AwaitDevice(device());
    torch::Tensor rows = torch::empty({size(), x.numel()}, x.options().requires_grad(false));
    Visit visit(*group_, rank(), timeout(), {.operation = "AllGather", .x = &x});
    for (int p = 0; p < size(); ++p) CopyElements(rows, p * x.numel(), visit.of(p), 0, x.numel());
    AwaitDevice(device());
    visit.Meet(/*reads_on=*/false);
    if (x.numel() > 0) CountTraffic({(size() - 1) * TensorBytes(x), size() - 1});
    return rows;
  }

  void Broadcast(torch::Tensor& x, int root) override {
    CheckTensor(seat_, "Broadcast", x);
    CheckRoot(seat_, root);
    torch::NoGradGuard no_grad;
    AwaitDevice(device());
    Visit visit(*group_, rank(), timeout(), {.operation = "Broadcast", .x = &x, .root = root});
    if (rank() != root) CopyElements(x, 0, visit.of(root), 0, x.numel());
    AwaitDevice(device());
    visit.Meet(/*reads_on=*/false);
    // Counted as the tree that the message-passing backend sends, so that ledgers agree.
    const auto children = static_cast<int64_t>(BroadcastPlace(seat_, root).children.size());
    if (x.numel() > 0) CountTraffic({children * TensorBytes(x), children});
  }

  void AllToAllV(const torch::Tensor& send, std::span<const int64_t> send_counts, torch::Tensor& recv,
                 std::span<const int64_t> recv_counts) override {
    CheckAllToAllV(seat_, send, send_counts, recv, recv_counts);
    torch::NoGradGuard no_grad;
    AwaitDevice(device());
    Visit visit(*group_, rank(), timeout(),
                {.operation = "AllToAllV", .x = &send, .send_counts = send_counts, .recv_counts = recv_counts});
    int64_t to = 0;
    for (int p = 0; p < size(); ++p) {
      CopyElements(recv, to, visit.of(p), PartBegin(visit.call_of(p).send_counts, rank()), recv_counts[p]);
      to += recv_counts[p];
    }
    AwaitDevice(device());
    visit.Meet(/*reads_on=*/false);
    CountTraffic(AllToAllTraffic(seat_, send, send_counts));
  }

  std::unique_ptr<Transfer> StartAllToAllV(const torch::Tensor& send, std::span<const int64_t> send_counts, torch::Tensor& recv,
                                           std::span<const int64_t> recv_counts) override {
    CheckAllToAllV(seat_, send, send_counts, recv, recv_counts);
    torch::NoGradGuard no_grad;
    torch::Tensor values = send.clone();  // the sender may be gone when the last peer reads it
    AwaitDevice(device());
    group_->Post(rank(), transfers_, {std::move(values), {send_counts.begin(), send_counts.end()}});
    CountTraffic(AllToAllTraffic(seat_, send, send_counts));
    return std::make_unique<InProcessTransfer>(*this, *group_, transfers_++, recv, recv_counts);
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
  int64_t transfers_ = 0;  // started
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
  RunRankThreads(
      *group, {0, size}, FirstRank::kOnAThreadOfItsOwn, [&](int rank) { return MakeInProcess(group, rank, timeout, device); }, body);
}

}  // namespace basin::comm
