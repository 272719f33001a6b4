#include "comm/hybrid.h"

#include <gmock/gmock.h>

#include <map>
#include <mutex>
#include <numeric>
#include <thread>

#include "comm/in_process.h"
#include "tests/comm/communicator_contract.h"
#include "tests/support/message_of.h"

namespace basin::comm {
namespace {

using testing::HasSubstr;
constexpr std::chrono::seconds kTimeout{60};

/// `size` ranks in `processes` groups of threads, which stand for processes.
void RunIn(int processes, int size, const std::function<void(Communicator&)>& body, std::chrono::milliseconds timeout = kTimeout) {
  RunInProcess(processes, [&](Communicator& across) { RunHybrid(size, across, body, timeout); }, timeout);
}

class HybridContract : public testing::TestWithParam<std::tuple<std::pair<int, int>, contract::Check>> {};

TEST_P(HybridContract, Holds) {
  const auto& [shape, check] = GetParam();
  RunIn(shape.first, shape.second, check.run);
}

INSTANTIATE_TEST_SUITE_P(Shapes, HybridContract,
                         testing::Combine(testing::Values(std::pair(1, 1), std::pair(1, 3), std::pair(2, 2), std::pair(2, 3), std::pair(2, 8),
                                                          std::pair(3, 5)),
                                          testing::ValuesIn(contract::HostChecks())),
                         [](const auto& info) {
                           const auto& shape = std::get<0>(info.param);
                           return Text(std::get<1>(info.param).name, "With", shape.second, "RanksIn", shape.first);
                         });

/// What every rank holds after a few calls on numbers that do not add exactly, and what it has sent by its own account.
struct Trace {
  torch::Tensor sum, rows, got;
  Traffic traffic;
};
Trace Exercise(Communicator& comm) {
  const torch::Tensor own = (torch::arange(1001, torch::kFloat32) * 0.37F + static_cast<float>(comm.rank())).sin();
  Trace trace{.sum = own.clone()};
  comm.AllReduceSum(trace.sum);
  trace.rows = comm.AllGather(own);
  std::vector<int64_t> send(comm.size()), recv(comm.size());
  for (int p = 0; p < comm.size(); ++p) {
    send[p] = (comm.rank() + 2 * p) % 5;
    recv[p] = (p + 2 * comm.rank()) % 5;
  }
  const auto total = [](const std::vector<int64_t>& counts) { return std::accumulate(counts.begin(), counts.end(), int64_t{0}); };
  trace.got = torch::empty({total(recv)});
  comm.AllToAllV(own.narrow(0, 0, total(send)).contiguous(), send, trace.got, recv);
  trace.traffic = comm.traffic();
  return trace;
}

TEST(Hybrid, GivesTheBitsAndTheAccountOfRanksInOneProcess) {
  constexpr int kSize = 7;
  const auto collect = [](const auto& run) {
    std::mutex mutex;
    std::map<int, Trace> traces;
    run([&](Communicator& comm) {
      Trace trace = Exercise(comm);
      const std::lock_guard lock(mutex);
      traces[comm.rank()] = std::move(trace);
    });
    return traces;
  };
  const auto expected = collect([](const auto& body) { RunInProcess(kSize, body); });
  for (const int processes : {1, 2, 3, 7}) {
    const auto found = collect([&](const auto& body) { RunIn(processes, kSize, body); });
    for (int rank = 0; rank < kSize; ++rank) {
      EXPECT_TRUE(torch::equal(found.at(rank).sum, expected.at(rank).sum)) << rank << " of " << processes;
      EXPECT_TRUE(torch::equal(found.at(rank).rows, expected.at(rank).rows)) << rank << " of " << processes;
      EXPECT_TRUE(torch::equal(found.at(rank).got, expected.at(rank).got)) << rank << " of " << processes;
      EXPECT_EQ(found.at(rank).traffic.bytes, expected.at(rank).traffic.bytes) << rank << " of " << processes;
      EXPECT_EQ(found.at(rank).traffic.messages, expected.at(rank).traffic.messages) << rank << " of " << processes;
    }
  }
}

TEST(Hybrid, ProcessesSendEachOtherOneMessageACall) {
  RunInProcess(2, [&](Communicator& across) {
    RunHybrid(6, across, [](Communicator& comm) {
      const std::vector<int64_t> counts(6, 3);
      torch::Tensor got = torch::empty({18});
      comm.AllToAllV(torch::ones({18}), counts, got, counts);
    }, kTimeout);
    EXPECT_EQ(across.traffic().messages, 1);
    EXPECT_EQ(across.traffic().bytes, 3 * 3 * 3 * 4) << "three ranks here, three there, three floats each";
  });
}

TEST(Hybrid, TheFirstRankOfAProcessRunsOnTheCallingThread) {
  RunInProcess(2, [&](Communicator& across) {
    const auto caller = std::this_thread::get_id();
    RunHybrid(5, across, [&](Communicator& comm) {
      const int first = RanksOfProcess(5, 2, across.rank()).first;
      EXPECT_EQ(std::this_thread::get_id() == caller, comm.rank() == first) << comm.rank();
    }, kTimeout);
  });
}

TEST(Hybrid, ARankThatThrowsEndsAllOfThemAndIsRethrown) {
  const auto body = [](Communicator& comm) {
    if (comm.rank() == 4) throw DataError("the file of rank 4 is damaged");
    torch::Tensor x = torch::ones({8});
    comm.AllReduceSum(x);
  };
  EXPECT_THAT(test::MessageOf<DataError>([&] { RunIn(2, 5, body); }), HasSubstr("rank 4 is damaged"));
}

TEST(Hybrid, AProcessThatDoesNotComeIsNamedAtTheDeadline) {
  const auto run = [] {
    RunInProcess(2, [&](Communicator& across) {
      if (across.rank() == 1) return;
      RunHybrid(4, across, [](Communicator& comm) { comm.Barrier(); }, std::chrono::milliseconds(200));
    });
  };
  EXPECT_THAT(test::MessageOf<CommError>(run), HasSubstr("between the processes"));
}

}  // namespace
}  // namespace basin::comm
