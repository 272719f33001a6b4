#include "comm/counting.h"

namespace basin::comm {

CountingCommunicator::CountingCommunicator(Communicator& inner, const base::Clock& clock)
    : Communicator({.rank = inner.rank(), .size = inner.size(), .device = inner.device()}, inner.timeout()),
      inner_(inner),
      clock_(clock) {}

CountingCommunicator::Exchange::Exchange(CountingCommunicator& counting) : counting_(counting) {
  if (counting.on_exchange_) counting.on_exchange_();
  start_ = counting.clock_.Seconds();
}

CountingCommunicator::Exchange::~Exchange() {
  ++counting_.ledger_.exchanges;
  counting_.ledger_.seconds += counting_.clock_.Seconds() - start_;
}

CountingCommunicator::Landing::Landing(CountingCommunicator& counting) : counting_(counting), start_(counting.clock_.Seconds()) {}

CountingCommunicator::Landing::~Landing() { counting_.ledger_.seconds += counting_.clock_.Seconds() - start_; }

void CountingCommunicator::SetTimeout(std::chrono::milliseconds timeout) {
  inner_.SetTimeout(timeout);
  Communicator::SetTimeout(timeout);
}

template <typename Call>
void CountingCommunicator::Count(Call&& call) {
  // The inner communicator's own account is what really left this rank; nothing is computed a second time here.
  const Traffic before = inner_.traffic();
  call();
  const Traffic after = inner_.traffic();
  ledger_.payload_bytes += after.bytes - before.bytes;
  ledger_.messages += after.messages - before.messages;
  ++ledger_.calls;
}

void CountingCommunicator::AllReduceSum(torch::Tensor& x) {
  Count([&] { inner_.AllReduceSum(x); });
}

torch::Tensor CountingCommunicator::AllGather(const torch::Tensor& x) {
  torch::Tensor rows;
  Count([&] { rows = inner_.AllGather(x); });
  return rows;
}

void CountingCommunicator::Broadcast(torch::Tensor& x, int root) {
  Count([&] { inner_.Broadcast(x, root); });
}

void CountingCommunicator::AllToAllV(const torch::Tensor& send, std::span<const int64_t> send_counts,
                                     torch::Tensor& recv, std::span<const int64_t> recv_counts) {
  Count([&] { inner_.AllToAllV(send, send_counts, recv, recv_counts); });
}

std::unique_ptr<Transfer> CountingCommunicator::StartAllToAllV(const torch::Tensor& send, std::span<const int64_t> send_counts,
                                                               torch::Tensor& recv, std::span<const int64_t> recv_counts) {
  std::unique_ptr<Transfer> transfer;
  Count([&] { transfer = inner_.StartAllToAllV(send, send_counts, recv, recv_counts); });
  return transfer;
}

void CountingCommunicator::Barrier() {
  Count([&] { inner_.Barrier(); });
}

}  // namespace basin::comm
