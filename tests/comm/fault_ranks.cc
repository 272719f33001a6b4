// main of the fault test: without arguments the tests; with "--ranks SCENARIO FOLDER", under mpirun, ranks that fail on
// purpose. A rank leaves its process id and what it caught in FOLDER.
#include <gtest/gtest.h>
#include <signal.h>
#include <torch/torch.h>
#include <unistd.h>

#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/error.h"
#include "comm/mpi.h"

namespace {

using basin::comm::Communicator;
using basin::comm::MpiSession;

constexpr int kCulprit = 1;
constexpr std::chrono::milliseconds kTimeout{2000};

void Die(Communicator& comm, int signal) {
  if (comm.rank() == kCulprit) raise(signal);
}

void SumOf(Communicator& comm, int64_t n) {
  torch::Tensor x = torch::ones({n});
  comm.AllReduceSum(x);
}

using Scenario = std::function<void(Communicator&, MpiSession&)>;

const std::map<std::string, Scenario>& Scenarios() {
  static const std::map<std::string, Scenario> scenarios = {
      {"killed", [](Communicator& comm, MpiSession&) { Die(comm, SIGKILL), SumOf(comm, 1000); }},
      // Long enough that the sends, too, need the peer.
      {"stopped", [](Communicator& comm, MpiSession&) { Die(comm, SIGSTOP), SumOf(comm, 3'000'000); }},
      {"stopped_in_barrier", [](Communicator& comm, MpiSession&) { Die(comm, SIGSTOP), comm.Barrier(); }},
      {"stopped_before_joining",
       [](Communicator& comm, MpiSession& session) { Die(comm, SIGSTOP), MakeMpi(session, kTimeout); }},
      {"killed_in_flight",
       [](Communicator& comm, MpiSession&) {
         const std::vector<int64_t> counts(comm.size(), 1'000'000);
         torch::Tensor send = torch::ones({3'000'000}), recv = torch::empty({3'000'000});
         const auto transfer = comm.StartAllToAllV(send, counts, recv, counts);
         Die(comm, SIGKILL);
         transfer->Wait();
       }},
      {"other_operation",
       [](Communicator& comm, MpiSession&) { comm.rank() == kCulprit ? comm.Barrier() : SumOf(comm, 10); }},
      {"other_length", [](Communicator& comm, MpiSession&) { SumOf(comm, comm.rank() == kCulprit ? 300 : 30); }},
      {"own_error",
       [](Communicator& comm, MpiSession&) {
         comm.SetTimeout(std::chrono::minutes(10));  // only the end of the job can end this wait
         if (comm.rank() == kCulprit) throw basin::DataError("the culprit's file is damaged");
         SumOf(comm, 10);
       }},
  };
  return scenarios;
}

int RunRank(const std::string& scenario, const std::string& folder, bool abort) {
  MpiSession session;
  const auto write = [&](const std::string& kind, const std::string& text) {
    std::ofstream(folder + "/" + kind + std::to_string(session.rank())) << text;
  };
  write("pid", std::to_string(getpid()));
  try {
    const std::unique_ptr<Communicator> comm = MakeMpi(session, std::chrono::seconds(60));
    comm->Barrier();
    comm->SetTimeout(kTimeout);
    try {
      Scenarios().at(scenario)(*comm, session);
    } catch (const basin::CommError&) {
      EXPECT_THROW(comm->Barrier(), basin::CommError);  // dead for good, and says so at once
      throw;
    }
  } catch (const basin::CommError& error) {
    write("caught", error.what());
    if (abort) session.Abort(4);
    return 4;  // by way of the session's destructor, which must not wait for the dead
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 5 && std::string(argv[1]) == "--ranks") {
    try {
      return RunRank(argv[2], argv[3], std::string(argv[4]) == "abort");
    } catch (const basin::DataError&) {
      return 3;
    }
  }
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
