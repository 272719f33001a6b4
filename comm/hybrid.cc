#include "comm/hybrid.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "base/error.h"
#include "comm/in_process_group.h"
#include "comm/rank_threads.h"
#include "comm/rules.h"

namespace basin::comm {
namespace {

using std::chrono::milliseconds;

/// Elements [begin, begin + count) of a tensor.
struct Slice {
  int64_t begin = 0;
  int64_t count = 0;
};

/// What the ranks of a process share. Between two meetings of a call either the leader writes it or all read it.
class HybridGroup {
 public:
  HybridGroup(int size, Communicator& across)
      : size_(size),
        across_(across),
        own_(RanksOfProcess(size, across.size(), across.rank())),
        local_(own_.second - own_.first, own_.first) {}

  InProcessGroup& local() { return local_; }
  Communicator& across() { return across_; }
  int size() const { return size_; }
  int first() const { return own_.first; }
  int end() const { return own_.second; }
  bool is_local(int rank) const { return own_.first <= rank && rank < own_.second; }
  int ProcessOf(int rank) const {
    int process = 0;
    while (RanksOfProcess(size_, across_.size(), process).second <= rank) ++process;
    return process;
  }

  /// The leader's part of an all-to-all: outgoing(from, to) says which elements local rank `from` has for rank `to` of another process,
  /// incoming(from, to) how many local rank `to` gets from `from`. One message a pair of processes: by sender, then by receiver.
  template <typename Outgoing, typename Incoming>
  void Exchange(const Visit& visit, const Outgoing& outgoing, const Incoming& incoming);
  /// After Exchange: what local rank `to` has got from rank `from` of another process.
  torch::Tensor Received(int from, int to, int64_t count) const {
    return received_.narrow(0, starts_[static_cast<size_t>(from) * local_.size() + to - first()], count);
  }

  torch::Tensor rows;  ///< of the leader's AllGather: [processes, n]

 private:
  const int size_;
  Communicator& across_;
  const std::pair<int, int> own_;
  InProcessGroup local_;
  torch::Tensor received_;
  std::vector<int64_t> starts_;  // in received_: [from, local to]
};

template <typename Outgoing, typename Incoming>
void HybridGroup::Exchange(const Visit& visit, const Outgoing& outgoing, const Incoming& incoming) {
  std::vector<torch::Tensor> parts;
  std::vector<int64_t> send_counts(across_.size(), 0), recv_counts(across_.size(), 0);
  starts_.assign(static_cast<size_t>(size_) * local_.size(), 0);
  int64_t start = 0;
  for (int process = 0; process < across_.size(); ++process) {
    if (process == across_.rank()) continue;
    const auto [begin, end] = RanksOfProcess(size_, across_.size(), process);
    for (int from = first(); from < this->end(); ++from) {
      for (int to = begin; to < end; ++to) {
        const Slice slice = outgoing(from, to);
        if (slice.count > 0) parts.push_back(visit.of(from).view({-1}).narrow(0, slice.begin, slice.count));
        send_counts[process] += slice.count;
      }
    }
    for (int from = begin; from < end; ++from) {
      for (int to = first(); to < this->end(); ++to) {
        const int64_t count = incoming(from, to);
        starts_[static_cast<size_t>(from) * local_.size() + to - first()] = start;
        start += count;
        recv_counts[process] += count;
      }
    }
  }
  const auto options = visit.of(first()).options().requires_grad(false);
  const torch::Tensor send = parts.empty() ? torch::empty({0}, options) : torch::cat(parts);
  received_ = torch::empty({start}, options);
  AwaitDevice(send.device());
  across_.AllToAllV(send, send_counts, received_, recv_counts);
}

class HybridCommunicator final : public Communicator {
 public:
  HybridCommunicator(std::shared_ptr<HybridGroup> group, const Seat& seat, milliseconds timeout)
      : Communicator(seat, timeout), seat_(seat), group_(std::move(group)) {
    group_->local().TakeSeat(seat.rank);
  }
  ~HybridCommunicator() override { group_->local().LeaveSeat(seat_.rank); }

  std::string_view name() const override { return "hybrid"; }

  void AllReduceSum(torch::Tensor& x) override {
    CheckSummable(seat_, "AllReduceSum", x);
    torch::NoGradGuard no_grad;
    AwaitDevice(device());
    Visit visit(group_->local(), rank(), timeout(), {.operation = "AllReduceSum", .x = &x});
    const auto shard = [&](int to) {
      const auto [begin, end] = ShardBounds(x.numel(), size(), to);
      return Slice{begin, end - begin};
    };
    Lead(visit, [&] {
      group_->Exchange(visit, [&](int, int to) { return shard(to); }, [&](int, int to) { return shard(to).count; });
    });
    SumOwnShard(visit, x);
    AwaitDevice(device());
    visit.Meet(/*reads_on=*/true);
    Lead(visit, [&] { ShareSums(x, visit); });
    CollectSums(x, visit);
    AwaitDevice(device());
    visit.Meet(/*reads_on=*/false);
    CountTraffic(AllReduceTraffic(seat_, x.numel(), ElementBytes(x)));
  }

  torch::Tensor AllGather(const torch::Tensor& x) override {
    CheckVector(seat_, "AllGather", x);
    torch::NoGradGuard no_grad;
    AwaitDevice(device());
    const int64_t n = x.numel();
    torch::Tensor rows = torch::empty({size(), n}, x.options().requires_grad(false));
    Visit visit(group_->local(), rank(), timeout(), {.operation = "AllGather", .x = &x});
    Lead(visit, [&] {
      std::vector<torch::Tensor> parts;
      for (int p = group_->first(); p < group_->end(); ++p) parts.push_back(visit.of(p));
      GatherPadded(torch::cat(parts), MostRanks() * n);
    });
    for (int process = 0; process < group_->across().size(); ++process) {
      const auto [begin, end] = RanksOfProcess(size(), group_->across().size(), process);
      const int64_t from = process * group_->rows.size(1);
      CopyElements(rows, begin * n, group_->rows, from, (end - begin) * n);
    }
    AwaitDevice(device());
    visit.Meet(/*reads_on=*/false);
    if (n > 0) CountTraffic({(size() - 1) * TensorBytes(x), size() - 1});
    return rows;
  }

  void Broadcast(torch::Tensor& x, int root) override {
    CheckTensor(seat_, "Broadcast", x);
    CheckRoot(seat_, root);
    torch::NoGradGuard no_grad;
    AwaitDevice(device());
    Visit visit(group_->local(), rank(), timeout(), {.operation = "Broadcast", .x = &x, .root = root});
    const int source = group_->is_local(root) ? root : group_->first();
    Lead(visit, [&] {
      torch::Tensor whole = visit.of(source);
      group_->across().Broadcast(whole, group_->ProcessOf(root));
      AwaitDevice(device());
    });
    if (rank() != source) CopyElements(x, 0, visit.of(source), 0, x.numel());
    AwaitDevice(device());
    visit.Meet(/*reads_on=*/false);
    const auto children = static_cast<int64_t>(BroadcastPlace(seat_, root).children.size());
    if (x.numel() > 0) CountTraffic({children * TensorBytes(x), children});
  }

  void AllToAllV(const torch::Tensor& send, std::span<const int64_t> send_counts, torch::Tensor& recv,
                 std::span<const int64_t> recv_counts) override {
    CheckAllToAllV(seat_, send, send_counts, recv, recv_counts);
    torch::NoGradGuard no_grad;
    AwaitDevice(device());
    Visit visit(group_->local(), rank(), timeout(),
                {.operation = "AllToAllV", .x = &send, .send_counts = send_counts, .recv_counts = recv_counts});
    const auto outgoing = [&](int from, int to) {
      const std::span<const int64_t> counts = visit.call_of(from).send_counts;
      Slice slice{.count = counts[to]};
      for (int before = 0; before < to; ++before) slice.begin += counts[before];
      return slice;
    };
    Lead(visit, [&] { group_->Exchange(visit, outgoing, [&](int from, int to) { return visit.call_of(to).recv_counts[from]; }); });
    int64_t at = 0;
    for (int p = 0; p < size(); ++p) {
      const int64_t count = recv_counts[p];
      if (group_->is_local(p)) {
        CopyElements(recv, at, visit.of(p), outgoing(p, rank()).begin, count);
      } else if (count > 0) {
        CopyElements(recv, at, group_->Received(p, rank(), count), 0, count);
      }
      at += count;
    }
    AwaitDevice(device());
    visit.Meet(/*reads_on=*/false);
    for (int p = 0; p < size(); ++p) {
      if (p != rank() && send_counts[p] > 0) CountTraffic({send_counts[p] * ElementBytes(send), 1});
    }
  }

  void Barrier() override {
    Visit visit(group_->local(), rank(), timeout(), {.operation = "Barrier"});
    Lead(visit, [&] { group_->across().Barrier(); });
    visit.FinishWithoutMeeting();
  }

 private:
  bool is_leader() const { return rank() == group_->first(); }

  /// Runs `part` on the leader, with this rank's deadline and watch, while the others of the process wait; all read on.
  template <typename Part>
  void Lead(Visit& visit, const Part& part) {
    constexpr milliseconds kSlack(1000);  // so that the leader's failure, which names a process, comes before theirs
    visit.Extend(timeout() + kSlack);
    if (is_leader()) {
      Communicator& across = group_->across();
      across.SetTimeout(timeout());
      across.SetWatch(watch());
      try {
        part();
      } catch (const CommError& failure) {
        throw CommError(Text("between the processes: ", failure.what()));
      }
      AwaitDevice(device());
    }
    visit.Meet(/*reads_on=*/true);
  }

  int64_t MostRanks() const { return RanksOfProcess(size(), group_->across().size(), 0).second; }

  /// Each process's x, as long as or shorter than `length`, becomes a row.
  void GatherPadded(const torch::Tensor& x, int64_t length) {
    torch::Tensor padded = x;
    if (x.numel() < length) padded = torch::cat({x, x.new_zeros({length - x.numel()})});
    AwaitDevice(device());
    group_->rows = group_->across().AllGather(padded);
  }

  void SumOwnShard(const Visit& visit, torch::Tensor& x) {
    const auto [begin, end] = ShardBounds(x.numel(), size(), rank());
    if (begin == end) return;
    std::vector<torch::Tensor> parts;
    for (int p = 0; p < size(); ++p) {
      const bool is_near = group_->is_local(p);
      parts.push_back(is_near ? visit.of(p).narrow(0, begin, end - begin) : group_->Received(p, rank(), end - begin));
    }
    SumInRankOrder(rank(), parts, x.narrow(0, begin, end - begin));
  }

  /// Elements whose sums the ranks of a process own: consecutive, since its ranks are.
  Slice SumsOfProcess(int64_t n, int process) const {
    const auto [first, end] = RanksOfProcess(size(), group_->across().size(), process);
    const int64_t begin = ShardBounds(n, size(), first).first;
    return {begin, ShardBounds(n, size(), end - 1).second - begin};
  }

  void ShareSums(const torch::Tensor& x, const Visit& visit) {
    std::vector<torch::Tensor> parts;
    for (int p = group_->first(); p < group_->end(); ++p) {
      const auto [begin, end] = ShardBounds(x.numel(), size(), p);
      parts.push_back(visit.of(p).narrow(0, begin, end - begin));
    }
    int64_t most = 0;
    for (int process = 0; process < group_->across().size(); ++process) most = std::max(most, SumsOfProcess(x.numel(), process).count);
    GatherPadded(torch::cat(parts), most);
  }

  void CollectSums(torch::Tensor& x, const Visit& visit) {
    for (int process = 0; process < group_->across().size(); ++process) {
      const Slice sums = SumsOfProcess(x.numel(), process);
      if (process != group_->across().rank()) CopyElements(x, sums.begin, group_->rows, process * group_->rows.size(1), sums.count);
    }
    for (int p = group_->first(); p < group_->end(); ++p) {
      const auto [begin, end] = ShardBounds(x.numel(), size(), p);
      if (p != rank()) CopyElements(x, begin, visit.of(p), begin, end - begin);
    }
  }

  Seat seat_;
  std::shared_ptr<HybridGroup> group_;
};

}  // namespace

void RunHybrid(int size, Communicator& across, const std::function<void(Communicator&)>& body, milliseconds timeout,
               torch::Device device) {
  BASIN_CHECK(1 <= across.size() && across.size() <= size, size, " ranks in ", across.size(), " processes");
  const auto group = std::make_shared<HybridGroup>(size, across);
  const auto make = [&](int rank) {
    return std::make_unique<HybridCommunicator>(group, Seat{.rank = rank, .size = size, .device = device}, timeout);
  };
  RunRankThreads(group->local(), {group->first(), group->end()}, FirstRank::kOnThisThread, make, body);
  across.SetWatch({});
}

}  // namespace basin::comm
