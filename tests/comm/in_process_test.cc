#include "comm/in_process.h"

#include <gmock/gmock.h>

#include <atomic>
#include <thread>

#include "tests/comm/communicator_contract.h"

namespace basin::comm {
namespace {

using std::chrono::milliseconds;
using testing::AllOf;
using testing::HasSubstr;

class InProcessContract : public testing::TestWithParam<std::tuple<int, contract::Check>> {};

TEST_P(InProcessContract, Holds) {
  const auto& [size, check] = GetParam();
  RunInProcess(size, check.run);
}

INSTANTIATE_TEST_SUITE_P(Sizes, InProcessContract,
                         testing::Combine(testing::Values(1, 2, 3, 5, 8), testing::ValuesIn(contract::HostChecks())),
                         [](const auto& info) {
                           return Text(std::get<1>(info.param).name, "With", std::get<0>(info.param), "Ranks");
                         });

/// Runs a body in which every rank must end with a CommError; returns the messages by rank.
std::vector<std::string> Failures(int size, const std::function<void(Communicator&)>& body,
                                  milliseconds timeout = std::chrono::minutes(10)) {
  std::vector<std::string> messages(size);
  RunInProcess(size, [&](Communicator& comm) {
    try {
      body(comm);
    } catch (const CommError& error) {
      messages[comm.rank()] = error.what();
    }
  }, timeout);
  return messages;
}

TEST(InProcess, RanksRunAtTheSameTimeAndSeeTheirSeat) {
  std::atomic<int> ranks{0};
  RunInProcess(3, [&](Communicator& comm) {
    EXPECT_EQ(comm.size(), 3);
    EXPECT_EQ(comm.name(), "in_process");
    EXPECT_TRUE(comm.device().is_cpu());
    ranks |= 1 << comm.rank();
  });
  EXPECT_EQ(ranks, 0b111);
}

// The time-outs below are ten minutes unless the deadline itself is tested: only an immediate end passes.
TEST(InProcess, ARankThatThrowsEndsTheOthersAtOnceAndIsRethrown) {
  std::atomic<int> ended{0};
  const auto body = [&](Communicator& comm) {
    if (comm.rank() == 1) throw DataError("the file of rank 1 is damaged");
    torch::Tensor x = torch::ones({8});
    try {
      comm.AllReduceSum(x);
    } catch (const CommError& error) {
      EXPECT_THAT(error.what(), AllOf(HasSubstr(Text("rank ", comm.rank())), HasSubstr("AllReduceSum"),
                                      HasSubstr("rank 1: the file of rank 1 is damaged")));
      ++ended;
      throw;
    }
  };
  EXPECT_THROW(RunInProcess(4, body, std::chrono::minutes(10)), DataError);
  EXPECT_EQ(ended, 3);
}

TEST(InProcess, ALaterCallOfAnEndedGroupFailsToo) {
  RunInProcess(2, [](Communicator& comm) {
    if (comm.rank() == 0) {
      EXPECT_THROW(comm.Barrier(), CommError);
      EXPECT_THROW(comm.Barrier(), CommError);
    }
  });
}

TEST(InProcess, TheDeadlineNamesRankOperationAndWhoIsMissing) {
  const auto group = MakeInProcessGroup(3);
  const auto late_one = MakeInProcess(group, 0, milliseconds(20));
  const auto late_two = MakeInProcess(group, 2, milliseconds(20));
  const auto waiting = MakeInProcess(group, 1, milliseconds(20));
  torch::Tensor x = torch::ones({5});
  try {
    waiting->AllReduceSum(x);
    FAIL() << "ranks 0 and 2 never came";
  } catch (const CommError& error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr("rank 1: AllReduceSum(Float [5]) waited 0.02 s for ranks 0, 2"),
                                    HasSubstr("comm.timeout_s")));
  }
  EXPECT_THROW(late_one->Barrier(), CommError);
}

TEST(InProcess, SetTimeoutChangesTheDeadline) {
  const auto group = MakeInProcessGroup(2);
  const auto waiting = MakeInProcess(group, 0, std::chrono::minutes(10));
  waiting->SetTimeout(milliseconds(10));
  EXPECT_EQ(waiting->timeout(), milliseconds(10));
  EXPECT_THROW(waiting->Barrier(), CommError);
}

TEST(InProcess, ARankThatLeavesEarlyEndsTheWaitOfTheOthers) {
  const auto messages = Failures(3, [](Communicator& comm) {
    if (comm.rank() != 2) comm.Barrier();
  });
  for (int r : {0, 1}) EXPECT_THAT(messages[r], AllOf(HasSubstr("rank 2"), HasSubstr("left the group")));
}

TEST(InProcess, AbortEndsAWaitThatIsUnderWay) {
  const auto group = MakeInProcessGroup(2);
  std::string message;
  std::thread waiting([&] {
    const auto comm = MakeInProcess(group, 0, std::chrono::minutes(10));
    try {
      comm->Barrier();
    } catch (const CommError& error) {
      message = error.what();
    }
  });
  AbortGroup(*group, 1, "its disk is full");
  waiting.join();
  EXPECT_THAT(message, AllOf(HasSubstr("rank 0: Barrier()"), HasSubstr("rank 1: its disk is full")));
}

TEST(InProcess, DifferentOperationsAreNamedInsteadOfHanging) {
  const auto messages = Failures(2, [](Communicator& comm) {
    torch::Tensor x = torch::ones({3});
    comm.rank() == 0 ? comm.AllReduceSum(x) : comm.Barrier();
  });
  for (const std::string& message : messages) {
    EXPECT_THAT(message, AllOf(HasSubstr("rank 0 calls AllReduceSum(Float [3])"), HasSubstr("rank 1 calls Barrier()")));
  }
}

TEST(InProcess, DifferentLengthsDtypesAndRootsAreNamed) {
  const auto lengths = Failures(3, [](Communicator& comm) { comm.AllGather(torch::ones({comm.rank() == 2 ? 4 : 3})); });
  EXPECT_THAT(lengths[0], AllOf(HasSubstr("AllGather(Float [3])"), HasSubstr("rank 2 calls AllGather(Float [4])")));
  const auto dtypes = Failures(2, [](Communicator& comm) {
    comm.AllGather(torch::ones({3}, comm.rank() == 0 ? torch::kFloat64 : torch::kInt64));
  });
  EXPECT_THAT(dtypes[1], AllOf(HasSubstr("Double [3]"), HasSubstr("Long [3]")));
  const auto roots = Failures(2, [](Communicator& comm) {
    torch::Tensor x = torch::ones({3});
    comm.Broadcast(x, comm.rank());
  });
  EXPECT_THAT(roots[0], AllOf(HasSubstr("root 0"), HasSubstr("root 1")));
}

TEST(InProcess, CountsThatDoNotFitTogetherAreNamed) {
  const auto messages = Failures(2, [](Communicator& comm) {
    const std::vector<int64_t> none{0, 0}, five_to_one{0, 5}, four_from_zero{4, 0};
    torch::Tensor nothing = torch::ones({0}), in = torch::ones({4});
    if (comm.rank() == 0) {
      comm.AllToAllV(torch::ones({5}), five_to_one, nothing, none);
    } else {
      comm.AllToAllV(nothing, none, in, four_from_zero);
    }
  });
  EXPECT_THAT(messages[0], HasSubstr("rank 0 sends 5 elements to rank 1, which expects 4"));
  EXPECT_THAT(messages[1], HasSubstr("rank 0 sends 5 elements to rank 1, which expects 4"));
}

TEST(InProcess, TheFirstFailureIsRethrownNotTheOnesThatFollow) {
  for (int culprit = 0; culprit < 4; ++culprit) {
    try {
      RunInProcess(4, [&](Communicator& comm) {
        comm.Barrier();
        if (comm.rank() == culprit) throw ConfigError(Text("culprit ", culprit));
        comm.Barrier();
      });
      FAIL() << "nothing was rethrown";
    } catch (const ConfigError& error) {
      EXPECT_STREQ(error.what(), Text("culprit ", culprit).c_str());
    }
  }
}

TEST(InProcess, ASeatIsTakenOnce) {
  const auto group = MakeInProcessGroup(2);
  const auto comm = MakeInProcess(group, 1, milliseconds(10));
  EXPECT_THROW(MakeInProcess(group, 1, milliseconds(10)), CheckFailed);
  EXPECT_THROW(MakeInProcess(group, 2, milliseconds(10)), CheckFailed);
  EXPECT_THROW(MakeInProcessGroup(0), CheckFailed);
}

}  // namespace
}  // namespace basin::comm
