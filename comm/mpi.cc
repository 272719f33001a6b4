#include "comm/mpi.h"

#include <algorithm>
#include <exception>
#include <optional>
#include <utility>
#include <vector>

#include "base/error.h"
#include "comm/mpi_world.h"
#include "comm/rules.h"

namespace basin::comm {
namespace {

using SteadyClock = std::chrono::steady_clock;
using std::chrono::milliseconds;

class MpiCommunicator final : public Communicator {
 public:
  MpiCommunicator(MpiSession& session, Route route, const Seat& seat, milliseconds timeout, int64_t piece_bytes)
      : Communicator(seat, timeout), session_(session), route_(std::move(route)), seat_(seat), piece_bytes_(piece_bytes) {}
  ~MpiCommunicator() override {
    // Freeing is collective: a rank on its way out after an error must not wait for the others here, nor for ranks that are gone.
    const bool all_live = !broken_ && route_.places.empty();
    const auto lock = session_.progress().Lock();
    if (all_live && std::uncaught_exceptions() == 0) MPI_Comm_free(&route_.comm);
  }

  std::string_view name() const override { return "mpi"; }

  void AllReduceSum(torch::Tensor& x) override {
    CheckSummable(seat_, "AllReduceSum", x);
    torch::NoGradGuard no_grad;
    if (size() == 1) return;
    Run([&] {
      torch::Tensor host = x.cpu();
      SumShard(host);
      ShareShards(host);
      if (!x.is_cpu()) x.copy_(host);
    });
    CountTraffic(AllReduceTraffic(seat_, x.numel(), ElementBytes(x)));
  }

  torch::Tensor AllGather(const torch::Tensor& x) override {
    CheckVector(seat_, "AllGather", x);
    torch::NoGradGuard no_grad;
    const torch::Tensor host = x.cpu();
    const int64_t n = x.numel(), bytes = TensorBytes(x);
    torch::Tensor rows = torch::empty({size(), n}, host.options().requires_grad(false));
    rows[rank()].copy_(host);
    if (n > 0) {
      Run([&] {
        Flight flight = Begin(Operation::kAllGather, {host, rows});
        ForEachPeer([&](int p) { flight.Receive(p, BytesAt(rows, p * n), bytes); });
        ForEachPeer([&](int p) { flight.Send(p, BytesAt(host, 0), bytes); });
        flight.Wait();
      });
      CountTraffic({(size() - 1) * bytes, size() - 1});
    }
    return rows.to(x.device());
  }

  void Broadcast(torch::Tensor& x, int root) override {
    CheckTensor(seat_, "Broadcast", x);
    CheckRoot(seat_, root);
    torch::NoGradGuard no_grad;
    if (x.numel() == 0) return;
    const TreePlace place = BroadcastPlace(seat_, root);
    Run([&] {
      torch::Tensor host = x.cpu();
      if (place.parent >= 0) {
        Flight down = Begin(Operation::kBroadcast, {host});
        down.Receive(place.parent, BytesAt(host, 0), TensorBytes(host));
        down.Wait();
      }
      Flight on = Begin(Operation::kBroadcast, {host});
      for (int child : place.children) on.Send(child, BytesAt(host, 0), TensorBytes(host));
      on.Wait();
      if (!x.is_cpu() && rank() != root) x.copy_(host);
    });
    const auto children = static_cast<int64_t>(place.children.size());
    CountTraffic({children * TensorBytes(x), children});
  }

  void AllToAllV(const torch::Tensor& send, std::span<const int64_t> send_counts, torch::Tensor& recv,
                 std::span<const int64_t> recv_counts) override {
    CheckAllToAllV(seat_, send, send_counts, recv, recv_counts);
    torch::NoGradGuard no_grad;
    Run([&] {
      const torch::Tensor out = send.cpu();
      torch::Tensor in = recv.is_cpu() ? recv : torch::empty_like(recv, torch::kCPU);
      Flight flight = Begin(Operation::kAllToAllV, {out, in});
      PostParts(flight, out, send_counts, in, recv_counts);
      flight.Wait();
      if (!recv.is_cpu()) recv.copy_(in);
    });
    CountTraffic(AllToAllTraffic(seat_, send, send_counts));
  }

  std::unique_ptr<Transfer> StartAllToAllV(const torch::Tensor& send, std::span<const int64_t> send_counts, torch::Tensor& recv,
                                           std::span<const int64_t> recv_counts) override {
    CheckAllToAllV(seat_, send, send_counts, recv, recv_counts);
    torch::NoGradGuard no_grad;
    std::unique_ptr<MpiTransfer> transfer;
    Run([&] {
      const torch::Tensor out = send.cpu();
      torch::Tensor in = recv.is_cpu() ? recv : torch::empty_like(recv, torch::kCPU);
      transfer = std::make_unique<MpiTransfer>(*this, Tag{Operation::kAllToAllV, call_}, out, in, recv);
      PostParts(transfer->flight(), out, send_counts, in, recv_counts);
      session_.progress().Add(transfer->flight());
    });
    CountTraffic(AllToAllTraffic(seat_, send, send_counts));
    return transfer;
  }

  void Barrier() override {
    Run([&] {
      // Empty messages to everybody rather than a tree: the deadline can then name who is missing.
      Flight flight = Begin(Operation::kBarrier, {});
      ForEachPeer([&](int p) { flight.Receive(p, nullptr, 0); });
      ForEachPeer([&](int p) { flight.Send(p, nullptr, 0); });
      flight.Wait();
    });
  }

 private:
  /// The other half of a StartAllToAllV.
  class MpiTransfer final : public Transfer {
   public:
    MpiTransfer(MpiCommunicator& comm, Tag tag, const torch::Tensor& out, const torch::Tensor& in, const torch::Tensor& recv)
        : comm_(comm), in_(in), recv_(recv), flight_(std::in_place, comm.route_, comm.rank(), tag, comm.limits_, std::vector{out, in}) {}
    ~MpiTransfer() override {
      const auto lock = comm_.session_.progress().Lock();
      comm_.session_.progress().Remove(*flight_);
      flight_.reset();  // gives up what is still in flight
    }
    Flight& flight() { return *flight_; }
    void Wait() override { comm_.Await(*flight_, in_, recv_); }

   private:
    MpiCommunicator& comm_;
    torch::Tensor in_, recv_;
    std::optional<Flight> flight_;
  };

  void Await(Flight& flight, const torch::Tensor& in, torch::Tensor recv) {
    const torch::NoGradGuard no_grad;
    Guard([&] {
      session_.progress().Remove(flight);
      flight.Renew(limits_);
      flight.Wait();
      if (!recv.is_cpu()) recv.copy_(in);
    });
  }

  void PostParts(Flight& flight, const torch::Tensor& out, std::span<const int64_t> send_counts, torch::Tensor& in,
                 std::span<const int64_t> recv_counts) const {
    const int64_t element = ElementBytes(out);
    const std::vector<int64_t> from = Starts(recv_counts), to = Starts(send_counts);
    ForEachPeer([&](int p) {
      if (recv_counts[p] > 0) flight.Receive(p, BytesAt(in, from[p]), recv_counts[p] * element);
    });
    ForEachPeer([&](int p) {
      if (send_counts[p] > 0) flight.Send(p, BytesAt(out, to[p]), send_counts[p] * element);
    });
    const int64_t own = send_counts[rank()];
    if (own > 0) in.narrow(0, from[rank()], own).copy_(out.narrow(0, to[rank()], own));
  }

  /// One call of the contract: its number, and what Guard does. Transfers may be waited for in any order, so Wait has no number.
  template <typename Body>
  void Run(const Body& body) {
    ++call_;
    Guard(body);
  }
  /// Its deadline, and the end of the communicator when it fails.
  template <typename Body>
  void Guard(const Body& body) {
    if (broken_) throw CommError(Text("rank ", rank(), ": this communicator failed before and cannot be used again"));
    const auto lock = session_.progress().Lock();
    limits_ = {SteadyClock::now() + timeout(), timeout(), piece_bytes_, watch()};
    try {
      body();
    } catch (...) {
      broken_ = true;
      session_.MarkBroken();
      throw;
    }
  }

  Flight Begin(Operation operation, std::vector<torch::Tensor> buffers) const {
    return Flight(route_, rank(), {operation, call_}, limits_, std::move(buffers));
  }

  /// Starts with the next rank, so that not everybody talks to rank 0 first.
  template <typename Visit>
  void ForEachPeer(const Visit& visit) const {
    for (int step = 1; step < size(); ++step) visit((rank() + step) % size());
  }

  static std::vector<int64_t> Starts(std::span<const int64_t> counts) {
    std::vector<int64_t> starts(counts.size(), 0);
    for (size_t p = 1; p < counts.size(); ++p) starts[p] = starts[p - 1] + counts[p - 1];
    return starts;
  }

  void SumShard(torch::Tensor& x) {
    const auto [begin, end] = ShardBounds(x.numel(), size(), rank());
    const int64_t mine = end - begin, element = ElementBytes(x);
    if (scratch_.numel() < size() * mine * element) {
      scratch_ = torch::empty({size() * mine * element}, torch::kUInt8);
    }
    const torch::Tensor rows = scratch_.narrow(0, 0, size() * mine * element).view(x.scalar_type()).view({size(), mine});
    Flight flight = Begin(Operation::kReduceScatter, {x, rows});
    ForEachPeer([&](int p) {
      if (mine > 0) flight.Receive(p, BytesAt(rows, p * mine), mine * element);
    });
    ForEachPeer([&](int p) {
      const auto [first, last] = ShardBounds(x.numel(), size(), p);
      if (last > first) flight.Send(p, BytesAt(x, first), (last - first) * element);
    });
    flight.Wait();
    if (mine > 0) SumInRankOrder(rank(), rows.unbind(0), x.narrow(0, begin, mine));
  }

  void ShareShards(torch::Tensor& x) {
    const auto [begin, end] = ShardBounds(x.numel(), size(), rank());
    const int64_t mine = end - begin, element = ElementBytes(x);
    Flight flight = Begin(Operation::kShareSums, {x});
    ForEachPeer([&](int p) {
      const auto [first, last] = ShardBounds(x.numel(), size(), p);
      if (last > first) flight.Receive(p, BytesAt(x, first), (last - first) * element);
    });
    ForEachPeer([&, begin = begin](int p) {
      if (mine > 0) flight.Send(p, BytesAt(x, begin), mine * element);
    });
    flight.Wait();
  }

  MpiSession& session_;
  Route route_;
  Seat seat_;
  int64_t piece_bytes_;
  torch::Tensor scratch_ = torch::empty({0}, torch::kUInt8);
  int64_t call_ = 0;
  Limits limits_{};
  bool broken_ = false;
};

}  // namespace

std::unique_ptr<Communicator> MakeMpi(MpiSession& session, milliseconds timeout, torch::Device device,
                                      int64_t piece_bytes) {
  BASIN_CHECK(0 < piece_bytes && piece_bytes <= kMpiPieceBytes, "piece_bytes ", piece_bytes);
  const Seat seat{.rank = session.rank(), .size = session.size(), .device = device};
  return std::make_unique<MpiCommunicator>(session, Route{DuplicateWorld(session, timeout)}, seat, timeout, piece_bytes);
}

std::unique_ptr<Communicator> MakeMpiGroup(MpiSession& session, const MpiGroup& group, milliseconds timeout,
                                           torch::Device device) {
  const auto own = std::ranges::find(group.members, session.rank());
  BASIN_CHECK(own != group.members.end(), "rank ", session.rank(), " is not in the group that it makes");
  const int reserved = session.reserve_ ? static_cast<int>(std::ssize(session.reserve_->comms)) : 0;
  if (group.number >= reserved) {
    throw CommError(Text("rank ", session.rank(), ": regrouped ", group.number + 1, " times, and only ", reserved,
                         " groups were prepared"));
  }
  session.broken_ = false;
  session.reduced_ = true;
  const Seat seat{.rank = static_cast<int>(own - group.members.begin()), .size = static_cast<int>(group.members.size()),
                  .device = device};
  Route route{session.reserve_->comms[group.number], group.members};
  return std::make_unique<MpiCommunicator>(session, std::move(route), seat, timeout, kMpiPieceBytes);
}

}  // namespace basin::comm
