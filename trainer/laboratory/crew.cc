#include "trainer/laboratory/crew.h"

#include <ATen/Parallel.h>

#include <chrono>
#include <cstdlib>
#include <iostream>

#include "base/error.h"
#include "base/log.h"
#include "comm/factory.h"
#include "comm/in_process.h"
#include "comm/mpi.h"
#include "trainer/agreement.h"

namespace basin::trainer {
namespace {

/// How long a rank may be busy with its tasks while others wait. A rank that dies ends the job at once through mpirun.
constexpr std::chrono::hours kPatience{12};

int UnderMpi(const std::function<void(Crew&)>& work) {
  if (std::getenv("OMP_NUM_THREADS") == nullptr) at::set_num_threads(1);
  comm::MpiSession session;
  base::SetLogPrefix(Text("rank ", session.rank()));
  bool all_know = false;
  try {
    const auto comm = comm::MakeMpi(session, kPatience);
    Crew crew(*comm, all_know);
    work(crew);
    comm->Barrier();  // who is done early waits here, not in MPI's end
    return 0;
  } catch (const std::exception& failure) {
    if (all_know && dynamic_cast<const CommError*>(&failure) == nullptr) {
      if (session.rank() == 0) throw;
      return ExitCode(failure);
    }
    std::cerr << Text("rank ", session.rank(), " on ", session.host(), ": ", Describe(failure), "\n") << std::flush;
    session.Abort(ExitCode(failure));
  }
}

}  // namespace

void Crew::Together(const std::function<void()>& step) {
  all_know_ = true;
  OnAllRanks(comm_, step);
  all_know_ = false;
}

int WithCrew(const std::function<void(Crew&)>& work) {
  const comm::LaunchInfo launch = comm::ReadLaunchInfo([](const char* name) { return std::getenv(name); });
  if (launch.launcher != "none") return UnderMpi(work);
  const auto comm = comm::MakeInProcess(comm::MakeInProcessGroup(1), 0, kPatience);
  bool all_know = false;
  Crew crew(*comm, all_know);
  work(crew);
  return 0;
}

}  // namespace basin::trainer
