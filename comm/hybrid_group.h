// What the ranks of one process share that are a part of a larger group, and the messages between the processes.
#pragma once

#include <torch/types.h>

#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "comm/communicator.h"
#include "comm/hybrid.h"
#include "comm/in_process_group.h"

namespace basin::comm {

/// Elements [begin, begin + count) of a tensor.
struct Slice {
  int64_t begin = 0;
  int64_t count = 0;
};

/// The messages of one all-to-all between the processes: one a pair of them, by sender, then by receiver.
struct Crossing {
  torch::Tensor send, received;
  std::vector<int64_t> send_counts, recv_counts;
  std::vector<int64_t> starts;  ///< in received: [from, local to]
};

/// An all-to-all of all local ranks that is under way.
struct HybridFlight {
  Crossing crossing;
  std::vector<Parcel> own;  ///< of the local ranks, for each other
  std::unique_ptr<Transfer> across;
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
  /// incoming(from, to) how many local rank `to` gets from `from`. Copies what goes out.
  using Outgoing = std::function<Slice(int from, int to)>;
  using Incoming = std::function<int64_t(int from, int to)>;
  Crossing Pack(const Visit& visit, const Outgoing& outgoing, const Incoming& incoming) const;
  /// Packs and sends.
  void Exchange(const Visit& visit, const Outgoing& outgoing, const Incoming& incoming);
  /// What local rank `to` has got from rank `from` of another process.
  torch::Tensor Received(const Crossing& crossing, int from, int to, int64_t count) const {
    return crossing.received.narrow(0, crossing.starts[static_cast<size_t>(from) * local_.size() + to - first()], count);
  }

  Crossing done;                          ///< of the leader's Exchange
  torch::Tensor rows;                     ///< of the leader's AllGather: [processes, n]
  std::shared_ptr<HybridFlight> started;  ///< by the leader; every rank takes its share

 private:
  const int size_;
  Communicator& across_;
  const std::pair<int, int> own_;
  InProcessGroup local_;
};

}  // namespace basin::comm
