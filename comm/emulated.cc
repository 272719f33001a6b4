#include "comm/emulated.h"

#include <sched.h>

#include <algorithm>
#include <limits>
#include <thread>
#include <utility>

#include "base/error.h"
#include "comm/rules.h"

namespace basin::comm {

WaitUntil SleepUntil(const base::Clock& clock) {
  return [&clock](double seconds) {
    // A sleep overshoots by the timer's slack (50 us on Linux) and by what the scheduler needs to find a core.
    constexpr double kAwake = 200e-6;
    while (true) {
      const double left = seconds - clock.Seconds();
      if (left <= 0) return;
      if (left > kAwake) {
        std::this_thread::sleep_for(std::chrono::duration<double>(left - kAwake));
      } else {
        sched_yield();
      }
    }
  };
}

EmulatedCommunicator::EmulatedCommunicator(Communicator& inner, const Link& link, const base::Clock& clock, WaitUntil wait)
    : Communicator({.rank = inner.rank(), .size = inner.size(), .device = inner.device()}, inner.timeout()),
      inner_(inner),
      link_(link),
      clock_(clock),
      wait_(std::move(wait)) {}

void EmulatedCommunicator::SetTimeout(std::chrono::milliseconds timeout) {
  inner_.SetTimeout(timeout);
  Communicator::SetTimeout(timeout);
}

template <typename Operation>
double EmulatedCommunicator::Exchange(Operation&& operation) {
  const double start = clock_.Seconds();
  const Traffic before = inner_.traffic();
  operation();
  const Traffic after = inner_.traffic();
  CountTraffic({.bytes = after.bytes - before.bytes, .messages = after.messages - before.messages});
  return start;
}

std::vector<double> EmulatedCommunicator::GatherStarts(double own) {
  const torch::Tensor rows = inner_.AllGather(torch::full({1}, own, torch::kFloat64).to(device())).cpu();
  return {rows.const_data_ptr<double>(), rows.const_data_ptr<double>() + size()};
}

void EmulatedCommunicator::Wait(std::string_view operation, double until) {
  const double needed = until - clock_.Seconds();
  if (needed > std::chrono::duration<double>(timeout()).count()) {
    throw CommError(Text("rank ", rank(), ": ", operation, ": the emulated link (", LinkText(link_), ") would take ", needed,
                         " s more, and a call may take ", SecondsText(timeout()), "; such a network needs a longer comm.timeout_s"));
  }
  wait_(until);
}

void EmulatedCommunicator::AllReduceSum(torch::Tensor& x) {
  const double start = Exchange([&] { inner_.AllReduceSum(x); });
  if (size() == 1 || x.numel() == 0) return;
  const auto rounds = AllReduceRounds(size(), x.numel(), static_cast<double>(ElementBytes(x)), /*ring=*/name() == "nccl");
  Wait("AllReduceSum", RoundsEnd(link_, GatherStarts(start), rounds).at(rank()));
}

torch::Tensor EmulatedCommunicator::AllGather(const torch::Tensor& x) {
  torch::Tensor rows;
  const double start = Exchange([&] { rows = inner_.AllGather(x); });
  if (size() == 1 || x.numel() == 0) return rows;
  const auto rounds = AllGatherRounds(size(), static_cast<double>(TensorBytes(x)));
  Wait("AllGather", RoundsEnd(link_, GatherStarts(start), rounds).at(rank()));
  return rows;
}

void EmulatedCommunicator::Broadcast(torch::Tensor& x, int root) {
  const double start = Exchange([&] { inner_.Broadcast(x, root); });
  if (size() == 1 || x.numel() == 0) return;
  const auto rounds = BroadcastRounds(size(), root, static_cast<double>(TensorBytes(x)));
  Wait("Broadcast", RoundsEnd(link_, GatherStarts(start), rounds).at(rank()));
}

EmulatedCommunicator::Stamps EmulatedCommunicator::Depart(double start, std::span<const int64_t> send_counts,
                                                           std::span<const int64_t> recv_counts, double element_bytes) {
  Stamps stamps{.out = std::vector<int64_t>(size(), 0), .in = std::vector<int64_t>(size(), 0)};
  std::vector<double> leaves(size(), 0);
  sent_ = std::max(sent_, start);
  for (int step = 1; step < size(); ++step) {  // in the order in which the backends send
    const int to = (rank() + step) % size();
    stamps.out[to] = send_counts[to] > 0 ? 1 : 0;
    leaves[to] = sent_;
    sent_ += static_cast<double>(send_counts[to]) * element_bytes / link_.bytes_per_second;
  }
  std::vector<double> moments;
  for (int p = 0; p < size(); ++p) {
    if (stamps.out[p] > 0) moments.push_back(leaves[p]);
    stamps.in[p] = p != rank() && recv_counts[p] > 0 ? 1 : 0;
    if (stamps.in[p] > 0) stamps.bytes.push_back(static_cast<double>(recv_counts[p]) * element_bytes);
  }
  stamps.sent = sent_;
  stamps.mine = torch::tensor(moments, torch::kFloat64).to(device());
  stamps.theirs = torch::empty({std::ssize(stamps.bytes)}, torch::TensorOptions(device()).dtype(torch::kFloat64));
  return stamps;
}

double EmulatedCommunicator::Landing(const Stamps& stamps) {
  const torch::Tensor left = stamps.theirs.cpu();
  std::vector<Arrival> arrivals;
  for (size_t k = 0; k < stamps.bytes.size(); ++k) {
    arrivals.push_back({.leaves = left.const_data_ptr<double>()[k], .bytes = stamps.bytes[k]});
  }
  taken_in_ = TakenIn(link_, taken_in_, std::move(arrivals));
  return stamps.bytes.empty() ? stamps.sent : std::max(stamps.sent, taken_in_);
}

void EmulatedCommunicator::AllToAllV(const torch::Tensor& send, std::span<const int64_t> send_counts, torch::Tensor& recv,
                                     std::span<const int64_t> recv_counts) {
  const double start = Exchange([&] { inner_.AllToAllV(send, send_counts, recv, recv_counts); });
  if (size() == 1) return;
  Stamps stamps = Depart(start, send_counts, recv_counts, static_cast<double>(ElementBytes(send)));
  inner_.AllToAllV(stamps.mine, stamps.out, stamps.theirs, stamps.in);
  Wait("AllToAllV", Landing(stamps));
}

class EmulatedCommunicator::LateTransfer final : public Transfer {
 public:
  LateTransfer(EmulatedCommunicator& comm, Stamps stamps, std::unique_ptr<Transfer> values, std::unique_ptr<Transfer> moments)
      : comm_(comm), stamps_(std::move(stamps)), values_(std::move(values)), moments_(std::move(moments)) {}
  void Wait() override {
    values_->Wait();
    moments_->Wait();
    comm_.Wait("AllToAllV", comm_.Landing(stamps_));
  }

 private:
  EmulatedCommunicator& comm_;
  Stamps stamps_;
  std::unique_ptr<Transfer> values_, moments_;
};

std::unique_ptr<Transfer> EmulatedCommunicator::StartAllToAllV(const torch::Tensor& send, std::span<const int64_t> send_counts,
                                                               torch::Tensor& recv, std::span<const int64_t> recv_counts) {
  std::unique_ptr<Transfer> values;
  const double start = Exchange([&] { values = inner_.StartAllToAllV(send, send_counts, recv, recv_counts); });
  if (size() == 1) return values;
  Stamps stamps = Depart(start, send_counts, recv_counts, static_cast<double>(ElementBytes(send)));
  std::unique_ptr<Transfer> moments = inner_.StartAllToAllV(stamps.mine, stamps.out, stamps.theirs, stamps.in);
  return std::make_unique<LateTransfer>(*this, std::move(stamps), std::move(values), std::move(moments));
}

void EmulatedCommunicator::Barrier() {
  const double start = Exchange([&] { inner_.Barrier(); });
  if (size() == 1) return;
  const auto rounds = AllGatherRounds(size(), 0);
  Wait("Barrier", RoundsEnd(link_, GatherStarts(start), rounds).at(rank()));
}

std::unique_ptr<Communicator> MakeEmulated(Communicator& inner, const Link& link, const base::Clock& clock) {
  return std::make_unique<EmulatedCommunicator>(inner, link, clock, SleepUntil(clock));
}

}  // namespace basin::comm
