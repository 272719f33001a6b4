#include <mpi.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <thread>

#include "base/error.h"
#include "base/log.h"
#include "comm/factory.h"
#include "comm/mpi_world.h"
#include "comm/rules.h"

namespace basin::comm {

using SteadyClock = std::chrono::steady_clock;
using std::chrono::milliseconds;

MPI_Comm DuplicateWorld(MpiSession& session, milliseconds timeout) {
  MPI_Comm comm = MPI_COMM_NULL;
  MPI_Request request = MPI_REQUEST_NULL;
  CheckMpi(MPI_Comm_idup(MPI_COMM_WORLD, &comm, &request), "MPI_Comm_idup");
  if (!WaitUntil(request, SteadyClock::now() + timeout)) {
    session.MarkBroken();
    throw CommError(Text("rank ", session.rank(), ": joining the group: waited ", SecondsText(timeout), " for all ",
                         session.size(), " ranks; a peer that is only slow needs a longer comm.timeout_s"));
  }
  MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN);
  return comm;
}

MpiSession::MpiSession() : progress_(std::make_unique<MpiProgress>()) {
  const LaunchInfo launch = ReadLaunchInfo([](const char* name) { return std::getenv(name); });
  int provided = 0;
  CheckMpi(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SERIALIZED, &provided), "MPI_Init_thread");
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  if (provided < MPI_THREAD_SERIALIZED) {
    throw CommError(Text(LibraryVersion(), " offers thread level ", provided, "; Basin needs MPI_THREAD_SERIALIZED (",
                         MPI_THREAD_SERIALIZED, "). Use an MPI that was built with threads."));
  }
  if (launch.launcher != "none" && launch.size != size()) {
    throw CommError(Text("the launcher (", launch.launcher, ") started ", launch.size, " ranks, but MPI sees ", size(),
                         ". Under Slurm start with srun --mpi=pmix; otherwise use the mpirun of ", LibraryVersion(),
                         "."));
  }
}

void MpiSession::ReserveGroups(int count) {
  reserve_ = std::make_shared<Reserve>();
  constexpr milliseconds kPatience = std::chrono::seconds(60);
  for (int k = 0; k < count; ++k) reserve_->comms.push_back(DuplicateWorld(*this, kPatience));
}

MpiSession::~MpiSession() {
  progress_.reset();
  if (broken_ || reduced_) return;
  // MPI_Finalize waits for all ranks without end, so all agree first, within a bound. After an error it is short: ranks
  // that found the same error come together, and where only this one failed, its exit must end the others before
  // their own deadlines do.
  const milliseconds patience = std::uncaught_exceptions() > 0 ? milliseconds(500) : std::chrono::seconds(60);
  MPI_Request request = MPI_REQUEST_NULL;
  const bool started = MPI_Ibarrier(MPI_COMM_WORLD, &request) == MPI_SUCCESS;
  bool all_here = false;
  try {
    all_here = started && WaitUntil(request, SteadyClock::now() + patience);
  } catch (const CommError&) {
    // Said below; a destructor must not throw.
  }
  if (all_here) {
    MPI_Finalize();
  } else {
    base::LogWarning(Text("rank ", rank(), " leaves without MPI_Finalize: not all ranks came to the end"));
  }
}

int MpiSession::rank() const {
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  return rank;
}

int MpiSession::size() const {
  int size = 1;
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  return size;
}

std::string MpiSession::host() const {
  std::array<char, MPI_MAX_PROCESSOR_NAME> name{};
  int length = 0;
  MPI_Get_processor_name(name.data(), &length);
  return std::string(name.data(), length);
}

void MpiSession::Abort(int exit_code) {
  const std::unique_lock lock = progress_->Lock();
  MPI_Abort(MPI_COMM_WORLD, exit_code);
  std::_Exit(exit_code);
}

void MpiSession::EndJob(bool is_first) {
  std::cout << std::flush;
  if (is_first) {
    base::LogInfo("ending the job by MPI_Abort with code 0, so that lost processes that stand still end too");
    Abort(0);
  }
  std::this_thread::sleep_for(std::chrono::seconds(30));  // until the first one ends this process
  std::_Exit(0);
}

std::string MpiSession::LibraryVersion() {
  std::array<char, MPI_MAX_LIBRARY_VERSION_STRING> text{};
  int length = 0;
  MPI_Get_library_version(text.data(), &length);
  std::string version(text.data(), length);  // "Open MPI v4.1.4, package: ..."
  version.resize(std::min(version.find_first_of(",\n"), version.size()));
  if (const size_t v = version.find(" v"); v != std::string::npos) version.erase(v + 1, 1);
  return version;
}

}  // namespace basin::comm
