// A slow network on a fast machine: a communicator around a communicator that holds every call back until a given link would have
// delivered it.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "base/clock.h"
#include "comm/communicator.h"
#include "comm/link.h"

namespace basin::comm {

/// Returns once the clock shows `seconds`.
using WaitUntil = std::function<void(double seconds)>;
/// Sleeps, then gives the core away for the last moments: no later than the scheduler's whim.
WaitUntil SleepUntil(const base::Clock& clock);

/// Really exchanges through `inner` (borrowed), then waits until the messages that the backend's algorithm sends would have passed the
/// link (comm/link.h says how). Bits, traffic and failures are inner's.
///
/// A message leaves when its own sender calls, so a rank that comes late holds up those that wait for its values and nobody else: with
/// each message of AllToAllV travels the moment at which it leaves; the other operations gather the moments of all. These small
/// messages of the emulation cost what they cost on the real wires and are counted nowhere.
/// A link cannot be faster than the machine: where the real exchange takes longer than the emulated one, the real one counts.
/// The clocks of all ranks must show the same time: threads, or processes of one host.
/// Deadline: a call that the link alone would keep busy beyond timeout() is a CommError, as it would be on such a network.
class EmulatedCommunicator final : public Communicator {
 public:
  EmulatedCommunicator(Communicator& inner, const Link& link, const base::Clock& clock, WaitUntil wait);

  void SetTimeout(std::chrono::milliseconds timeout) override;
  std::string_view name() const override { return inner_.name(); }
  void AllReduceSum(torch::Tensor& x) override;
  torch::Tensor AllGather(const torch::Tensor& x) override;
  void Broadcast(torch::Tensor& x, int root) override;
  void AllToAllV(const torch::Tensor& send, std::span<const int64_t> send_counts, torch::Tensor& recv,
                 std::span<const int64_t> recv_counts) override;
  /// Held back in Wait: what has arrived by then costs nothing.
  std::unique_ptr<Transfer> StartAllToAllV(const torch::Tensor& send, std::span<const int64_t> send_counts, torch::Tensor& recv,
                                           std::span<const int64_t> recv_counts) override;
  void Barrier() override;

 private:
  class LateTransfer;
  /// Runs inner's operation and counts what it sends; returns when this rank began.
  template <typename Operation>
  double Exchange(Operation&& operation);
  /// When each rank began: float64 of the clock. Collective.
  std::vector<double> GatherStarts(double own);
  /// What travels beside an AllToAllV: with each message, the moment at which it leaves.
  struct Stamps {
    std::vector<int64_t> out{}, in{};  ///< one a message that is not empty
    torch::Tensor mine{}, theirs{};    ///< float64
    std::vector<double> bytes{};       ///< of the messages to this rank, by sender
    double sent = 0;                   ///< when the last one has left
  };
  Stamps Depart(double start, std::span<const int64_t> send_counts, std::span<const int64_t> recv_counts, double element_bytes);
  /// When all has left and been taken in.
  double Landing(const Stamps& stamps);
  void Wait(std::string_view operation, double until);

  Communicator& inner_;
  const Link link_;
  const base::Clock& clock_;
  const WaitUntil wait_;
  double sent_ = -std::numeric_limits<double>::infinity();      // when the line out is free
  double taken_in_ = -std::numeric_limits<double>::infinity();  // when the line in is
};

/// With the clock's real waits; `inner` and `clock` must outlive it.
std::unique_ptr<Communicator> MakeEmulated(Communicator& inner, const Link& link, const base::Clock& clock);

}  // namespace basin::comm
