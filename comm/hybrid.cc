#include "comm/hybrid.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "base/error.h"
#include "comm/hybrid_group.h"
#include "comm/rank_threads.h"
#include "comm/rules.h"

namespace basin::comm {
namespace {

using std::chrono::milliseconds;

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
    Lead(visit, [&] { group_->Exchange(visit, Outgoing(visit), Incoming(visit)); });
    TakeParts(recv, recv_counts, group_->done, [&](int p) -> const torch::Tensor& { return visit.of(p); },
              [&](int p) { return visit.call_of(p).send_counts; });
    AwaitDevice(device());
    visit.Meet(/*reads_on=*/false);
    CountTraffic(AllToAllTraffic(seat_, send, send_counts));
  }

  /// Waits for the ranks of this process, not for the network.
  std::unique_ptr<Transfer> StartAllToAllV(const torch::Tensor& send, std::span<const int64_t> send_counts, torch::Tensor& recv,
                                           std::span<const int64_t> recv_counts) override {
    CheckAllToAllV(seat_, send, send_counts, recv, recv_counts);
    torch::NoGradGuard no_grad;
    AwaitDevice(device());
    Visit visit(group_->local(), rank(), timeout(),
                {.operation = "StartAllToAllV", .x = &send, .send_counts = send_counts, .recv_counts = recv_counts});
    Lead(visit, [&] { group_->started = StartFlight(visit); });
    auto transfer = std::make_unique<HybridTransfer>(*this, group_->started, recv, recv_counts);
    visit.Meet(/*reads_on=*/false);
    CountTraffic(AllToAllTraffic(seat_, send, send_counts));
    return transfer;
  }

  void Barrier() override {
    Visit visit(group_->local(), rank(), timeout(), {.operation = "Barrier"});
    Lead(visit, [&] { group_->across().Barrier(); });
    visit.FinishWithoutMeeting();
  }

 private:
  /// The other half of a StartAllToAllV.
  class HybridTransfer final : public Transfer {
   public:
    HybridTransfer(HybridCommunicator& comm, std::shared_ptr<HybridFlight> flight, const torch::Tensor& recv, std::span<const int64_t> recv_counts)
        : comm_(comm), flight_(std::move(flight)), recv_(recv), recv_counts_(recv_counts.begin(), recv_counts.end()) {}

    void Wait() override {
      const torch::NoGradGuard no_grad;
      HybridGroup& group = *comm_.group_;
      Visit visit(group.local(), comm_.rank(), comm_.timeout(), {.operation = "Wait for an AllToAllV"});
      comm_.Lead(visit, [&] {
        flight_->across->Wait();
        flight_->across.reset();  // here, on the thread that may call it
      });
      const auto own = [&](int p) -> const Parcel& { return flight_->own[p - group.first()]; };
      comm_.TakeParts(recv_, recv_counts_, flight_->crossing, [&](int p) -> const torch::Tensor& { return own(p).values; },
                      [&](int p) { return std::span<const int64_t>(own(p).counts); });
      AwaitDevice(comm_.device());
      visit.Meet(/*reads_on=*/false);
    }

   private:
    HybridCommunicator& comm_;
    std::shared_ptr<HybridFlight> flight_;
    torch::Tensor recv_;
    std::vector<int64_t> recv_counts_;
  };

  /// Which elements of its `send` a rank has for each other one.
  static HybridGroup::Outgoing Outgoing(const Visit& visit) {
    return [&visit](int from, int to) { return PartFor(visit.call_of(from).send_counts, to); };
  }
  static HybridGroup::Incoming Incoming(const Visit& visit) {
    return [&visit](int from, int to) { return visit.call_of(to).recv_counts[from]; };
  }
  static Slice PartFor(std::span<const int64_t> counts, int to) {
    return {.begin = PartBegin(counts, to), .count = counts[to]};
  }

  std::shared_ptr<HybridFlight> StartFlight(const Visit& visit) {
    auto flight = std::make_shared<HybridFlight>();
    Crossing& crossing = flight->crossing = group_->Pack(visit, Outgoing(visit), Incoming(visit));
    for (int p = group_->first(); p < group_->end(); ++p) {
      const std::span<const int64_t> counts = visit.call_of(p).send_counts;
      flight->own.push_back({visit.of(p).clone(), {counts.begin(), counts.end()}});
    }
    flight->across = group_->across().StartAllToAllV(crossing.send, crossing.send_counts, crossing.received, crossing.recv_counts);
    return flight;
  }

  /// Fills recv: values_of(p), counts_of(p) are what local rank p sends.
  template <typename ValuesOf, typename CountsOf>
  void TakeParts(torch::Tensor& recv, std::span<const int64_t> recv_counts, const Crossing& crossing, const ValuesOf& values_of,
                 const CountsOf& counts_of) const {
    int64_t at = 0;
    for (int p = 0; p < size(); at += recv_counts[p++]) {
      const int64_t count = recv_counts[p];
      if (group_->is_local(p)) {
        CopyElements(recv, at, values_of(p), PartFor(counts_of(p), rank()).begin, count);
      } else if (count > 0) {
        CopyElements(recv, at, group_->Received(crossing, p, rank(), count), 0, count);
      }
    }
  }

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
      parts.push_back(is_near ? visit.of(p).narrow(0, begin, end - begin) : group_->Received(group_->done, p, rank(), end - begin));
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
