#include "comm/hybrid_group.h"

#include "comm/rules.h"

namespace basin::comm {

Crossing HybridGroup::Pack(const Visit& visit, const Outgoing& outgoing, const Incoming& incoming) const {
  std::vector<torch::Tensor> parts;
  Crossing crossing{.send_counts = std::vector<int64_t>(across_.size(), 0),
                    .recv_counts = std::vector<int64_t>(across_.size(), 0),
                    .starts = std::vector<int64_t>(static_cast<size_t>(size_) * local_.size(), 0)};
  int64_t start = 0;
  for (int process = 0; process < across_.size(); ++process) {
    if (process == across_.rank()) continue;
    const auto [begin, end] = RanksOfProcess(size_, across_.size(), process);
    for (int from = first(); from < this->end(); ++from) {
      for (int to = begin; to < end; ++to) {
        const Slice slice = outgoing(from, to);
        if (slice.count > 0) parts.push_back(visit.of(from).view({-1}).narrow(0, slice.begin, slice.count));
        crossing.send_counts[process] += slice.count;
      }
    }
    for (int from = begin; from < end; ++from) {
      for (int to = first(); to < this->end(); ++to) {
        const int64_t count = incoming(from, to);
        crossing.starts[static_cast<size_t>(from) * local_.size() + to - first()] = start;
        start += count;
        crossing.recv_counts[process] += count;
      }
    }
  }
  const auto options = visit.of(first()).options().requires_grad(false);
  crossing.send = parts.empty() ? torch::empty({0}, options) : torch::cat(parts);
  crossing.received = torch::empty({start}, options);
  AwaitDevice(crossing.send.device());
  return crossing;
}

void HybridGroup::Exchange(const Visit& visit, const Outgoing& outgoing, const Incoming& incoming) {
  done = Pack(visit, outgoing, incoming);
  across_.AllToAllV(done.send, done.send_counts, done.received, done.recv_counts);
}

}  // namespace basin::comm
