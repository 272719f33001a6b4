// Ranks are processes under mpirun. The only door to mpi.h.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "comm/communicator.h"

namespace basin::comm {

/// Some ranks of a session, as a group of their own.
struct MpiGroup {
  int number = 0;              ///< from 0, below the number that was reserved; each is used once
  std::vector<int> members{};  ///< ranks of the session, ascending, the own one among them; rank r of the group is members[r]
};

class MpiProgress;

/// MPI_Init_thread ... MPI_Finalize. One for each process; MPI is called from the thread that made it, and, while transfers are under
/// way, by a thread that moves their messages, never by both at once (level SERIALIZED).
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
  /// Whether a group went on without ranks that are gone. Such a session is never finalised: MPI_Finalize would wait for a process that
  /// only stands still.
  bool reduced() const { return reduced_; }
  /// The good end of a reduced session, with exit code 0: the first of those that are left ends all processes of the job, also the
  /// ones that stand still; the others wait for it.
  [[noreturn]] void EndJob(bool is_first);
  /// For communicators of this session: a peer is gone, so finalising would wait for ever.
  void MarkBroken() { broken_ = true; }
  /// Prepares `count` groups for MakeMpiGroup, which must need nobody's help when a rank is gone. Collective.
  void ReserveGroups(int count);
  /// For communicators of this session.
  MpiProgress& progress() { return *progress_; }
  static std::string LibraryVersion();  ///< "Open MPI 4.1.4"

 private:
  friend std::unique_ptr<Communicator> MakeMpiGroup(MpiSession&, const MpiGroup&, std::chrono::milliseconds, torch::Device);
  struct Reserve;
  std::unique_ptr<MpiProgress> progress_;
  std::shared_ptr<Reserve> reserve_;
  bool broken_ = false;
  bool reduced_ = false;  // goes on without ranks that are gone
};

/// MPI counts in int, so longer messages travel in pieces of this many bytes.
inline constexpr int64_t kMpiPieceBytes = int64_t{1} << 30;

/// A communicator over all ranks of the session, on a duplicate of MPI_COMM_WORLD. CUDA tensors travel through host
/// memory. Messages are point to point, so a deadline names exactly the peers that did not answer. Collective.
std::unique_ptr<Communicator> MakeMpi(MpiSession& session, std::chrono::milliseconds timeout,
                                      torch::Device device = torch::kCPU, int64_t piece_bytes = kMpiPieceBytes);
/// A communicator over those that are left, when others are gone for good: nothing is sent to make it, and messages of earlier
/// communicators never match its own. Failures name ranks of the session. From now on the session is reduced.
std::unique_ptr<Communicator> MakeMpiGroup(MpiSession& session, const MpiGroup& group, std::chrono::milliseconds timeout,
                                           torch::Device device = torch::kCPU);

}  // namespace basin::comm
