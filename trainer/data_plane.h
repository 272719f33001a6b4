// The communicators that members exchange over, when ranks are processes.
#pragma once

#include <chrono>
#include <memory>
#include <vector>

#include "comm/factory.h"
#include "comm/mpi.h"
#include "trainer/control.h"

namespace basin::trainer {

class DataPlane {
 public:
  struct Options {
    comm::Backend backend;  ///< kMpi or kNccl
    std::chrono::milliseconds timeout;
    torch::Device device;
  };

  /// Collective over `bootstrap`, which, like the session, is borrowed.
  DataPlane(comm::MpiSession& session, comm::Communicator& bootstrap, const Options& options);

  comm::Communicator& all() { return *all_; }
  /// Prepares for losses: each takes a member at least, and two must be left. Collective.
  void Reserve();
  /// Over those that are left. Collective among them; needs nobody else.
  std::unique_ptr<comm::Communicator> Over(const NewGroup& left);

 private:
  bool is_nccl() const { return options_.backend == comm::Backend::kNccl; }
  std::unique_ptr<comm::Communicator> OverNccl(comm::Communicator& bootstrap) const;

  comm::MpiSession& session_;
  const Options options_;
  std::unique_ptr<comm::Communicator> all_;
  std::vector<std::unique_ptr<comm::Communicator>> bootstraps_;
};

}  // namespace basin::trainer
