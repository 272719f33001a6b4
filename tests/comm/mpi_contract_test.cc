// The contract on MPI. Runs under mpirun; a failure on any rank fails the job.
#include <gmock/gmock.h>

#include <atomic>
#include <cstdlib>
#include <thread>

#include "comm/mpi.h"
#include "tests/comm/communicator_contract.h"

namespace basin::comm {
namespace {

MpiSession* session = nullptr;       // set by main, for the tests of this program
constexpr std::chrono::seconds kTimeout{60};

class MpiContract : public testing::TestWithParam<contract::Check> {};

TEST_P(MpiContract, Holds) { GetParam().run(*MakeMpi(*session, kTimeout)); }

/// The long lengths take many pieces of which the last is shorter, and the account does not change.
TEST_P(MpiContract, HoldsWhenMessagesTravelInPieces) {
  constexpr int64_t kPieceBytes = 99'991;  // prime: pieces end inside an element
  GetParam().run(*MakeMpi(*session, kTimeout, torch::kCPU, kPieceBytes));
}

INSTANTIATE_TEST_SUITE_P(Checks, MpiContract, testing::ValuesIn(contract::HostChecks()),
                         [](const auto& info) { return info.param.name; });

TEST(Mpi, SeatsAreTheSessions) {
  const auto comm = MakeMpi(*session, kTimeout);
  EXPECT_EQ(comm->rank(), session->rank());
  EXPECT_EQ(comm->size(), session->size());
  EXPECT_EQ(std::to_string(comm->size()), std::getenv("OMPI_COMM_WORLD_SIZE"));
  EXPECT_EQ(comm->name(), "mpi");
  EXPECT_TRUE(comm->device().is_cpu());
  EXPECT_FALSE(session->host().empty());
}

TEST(Mpi, TwoCommunicatorsDoNotMixTheirMessages) {
  const auto one = MakeMpi(*session, kTimeout), two = MakeMpi(*session, kTimeout);
  contract::MessagesDoNotMix(*one, *two);
}

/// Long enough that MPI needs both sides' help to move it; nobody calls MPI until the last value is there.
TEST(Mpi, ALongTransferMovesWhileTheRanksOwnThreadDoesSomethingElse) {
  const auto comm = MakeMpi(*session, kTimeout);
  constexpr int64_t kLength = 4'000'000;
  const int next = (comm->rank() + 1) % comm->size(), previous = (comm->rank() + comm->size() - 1) % comm->size();
  std::vector<int64_t> send_counts(comm->size()), recv_counts(comm->size());
  if (comm->size() > 1) send_counts[next] = recv_counts[previous] = kLength;
  const torch::Tensor send = torch::full({send_counts[next]}, comm->rank() + 1.0F);
  torch::Tensor recv = torch::zeros({recv_counts[previous]});
  const auto transfer = comm->StartAllToAllV(send, send_counts, recv, recv_counts);
  const auto deadline = std::chrono::steady_clock::now() + kTimeout;
  const auto arrived = [&] {  // written by another thread
    return recv.numel() == 0 || std::atomic_ref(recv.data_ptr<float>()[kLength - 1]).load() != 0;
  };
  while (!arrived() && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  EXPECT_TRUE(arrived()) << "nothing moved for a minute";
  transfer->Wait();
  EXPECT_TRUE(torch::equal(recv, torch::full_like(recv, previous + 1.0F)));
}

TEST(Mpi, ATransferThatIsGivenUpLeavesTheOthersAlone) {
  const auto comm = MakeMpi(*session, kTimeout);
  contract::RaggedTransfer kept(*comm, 1000, 0);
  {
    contract::RaggedTransfer given_up(*comm, 1000, 1);
    comm->Barrier();
  }
  kept.Finish();
  comm->Barrier();
}

TEST(Mpi, LibraryVersionIsNameAndNumber) { EXPECT_THAT(MpiSession::LibraryVersion(), testing::MatchesRegex(".+ [0-9.]+.*")); }

}  // namespace
}  // namespace basin::comm

int main(int argc, char** argv) {
  basin::comm::MpiSession session;
  basin::comm::session = &session;
  if (session.rank() != 0) GTEST_FLAG_SET(brief, true);  // one report; failures of other ranks are still shown
  testing::InitGoogleTest(&argc, argv);
  const bool failed = RUN_ALL_TESTS() != 0;
  try {
    return basin::comm::contract::AnyRankFailed(*basin::comm::MakeMpi(session, basin::comm::kTimeout), failed) ? 1 : 0;
  } catch (const basin::CommError& error) {
    std::fprintf(stderr, "%s\n", error.what());
    session.Abort(1);
  }
}
