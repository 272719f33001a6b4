// Ranks are processes under mpirun. The only door to mpi.h.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "comm/communicator.h"

namespace basin::comm {

/// MPI_Init_thread ... MPI_Finalize. One for each process; MPI is called from the thread that made it.
class MpiSession {
 public:
  /// CommError when MPI lacks thread level SERIALIZED, or when it sees another number of ranks than the launcher announced
  /// (each process then believes to be alone).
  MpiSession();
  /// Finalises when all ranks come here; waits a bounded time for them, and not at all after a failed communicator. A
  /// process that ends without having finalised makes mpirun end the others.
  ~MpiSession();
  MpiSession(const MpiSession&) = delete;
  MpiSession& operator=(const MpiSession&) = delete;

  int rank() const;
  int size() const;
  /// Host name of this process, as MPI tells it.
  std::string host() const;
  /// Ends all ranks of the job now; mpirun ends with this exit code. Does not return.
  [[noreturn]] void Abort(int exit_code);
  /// For communicators of this session: a peer is gone, so finalising would wait for ever.
  void MarkBroken() { broken_ = true; }
  static std::string LibraryVersion();  ///< "Open MPI 4.1.4"

 private:
  bool broken_ = false;
};

/// MPI counts in int, so longer messages travel in pieces of this many bytes.
inline constexpr int64_t kMpiPieceBytes = int64_t{1} << 30;

/// A communicator over all ranks of the session, on a duplicate of MPI_COMM_WORLD. CUDA tensors travel through host
/// memory. Messages are point to point, so a deadline names exactly the peers that did not answer. Collective.
std::unique_ptr<Communicator> MakeMpi(MpiSession& session, std::chrono::milliseconds timeout,
                                      torch::Device device = torch::kCPU, int64_t piece_bytes = kMpiPieceBytes);

}  // namespace basin::comm
