// The ledger: a communicator around a communicator that accounts for what passes through it.
#pragma once

#include <functional>

#include "base/clock.h"
#include "comm/communicator.h"

namespace basin::comm {

/// Sums over all calls made through a CountingCommunicator.
struct Ledger {
  int64_t payload_bytes = 0;  ///< handed to peers by this rank
  int64_t messages = 0;
  int64_t calls = 0;      ///< communicator operations
  int64_t exchanges = 0;  ///< events of a strategy, see Exchange
  double seconds = 0;     ///< in exchanges, waiting for peers included
};

/// Forwards everything to `inner`, which must outlive it.
class CountingCommunicator final : public Communicator {
 public:
  CountingCommunicator(Communicator& inner, const base::Clock& clock);

  /// Marks one exchange (one event of a strategy) for its lifetime: counts it and its seconds. Do not nest.
  class Exchange {
   public:
    explicit Exchange(CountingCommunicator& counting);
    ~Exchange();
    Exchange(const Exchange&) = delete;
    Exchange& operator=(const Exchange&) = delete;

   private:
    CountingCommunicator& counting_;
    double start_;
  };

  /// Marks the end of an exchange whose messages were sent before: its seconds count, it is no new one. Do not nest.
  class Landing {
   public:
    explicit Landing(CountingCommunicator& counting);
    ~Landing();
    Landing(const Landing&) = delete;
    Landing& operator=(const Landing&) = delete;

   private:
    CountingCommunicator& counting_;
    double start_;
  };

  /// Called at the start of every exchange, before it has changed anything; not counted among its seconds. May be empty.
  void OnExchange(std::function<void()> call) { on_exchange_ = std::move(call); }

  /// For messages that are no exchange: what a resumed run sends a second time.
  Communicator& uncounted() { return inner_; }

  const Ledger& ledger() const { return ledger_; }
  /// For a resumed run.
  void Restore(const Ledger& ledger) { ledger_ = ledger; }

  void SetTimeout(std::chrono::milliseconds timeout) override;
  Traffic traffic() const override { return inner_.traffic(); }
  std::string_view name() const override { return inner_.name(); }
  void AllReduceSum(torch::Tensor& x) override;
  torch::Tensor AllGather(const torch::Tensor& x) override;
  void Broadcast(torch::Tensor& x, int root) override;
  void AllToAllV(const torch::Tensor& send, std::span<const int64_t> send_counts,
                 torch::Tensor& recv, std::span<const int64_t> recv_counts) override;
  std::unique_ptr<Transfer> StartAllToAllV(const torch::Tensor& send, std::span<const int64_t> send_counts,
                                           torch::Tensor& recv, std::span<const int64_t> recv_counts) override;
  void Barrier() override;

 private:
  template <typename Call>
  void Count(Call&& call);

  Communicator& inner_;
  const base::Clock& clock_;
  Ledger ledger_;
  std::function<void()> on_exchange_;
};

}  // namespace basin::comm
