// Ranks under mpirun that are killed, stopped or out of step: the others must say who and where, and end.
#include <gmock/gmock.h>
#include <sched.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/error.h"
#include "base/files.h"
#include "tests/support/command.h"

namespace basin::comm {
namespace {

using testing::HasSubstr;

constexpr int kRanks = 3;

struct Outcome {
  test::CommandResult result;
  double seconds = 0;
  std::vector<std::string> caught;  ///< by rank; empty: this rank caught nothing or was ended by mpirun first
  std::vector<std::string> pids;
};

std::string ReadText(const std::filesystem::path& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

struct Scenario {
  std::string name;
  std::string end;        ///< "abort" by MpiSession::Abort(4), or "return" 4 from main by way of the destructors
  bool recovery = false;  ///< mpirun leaves the others alive when one dies; its own exit code is then always 0
};

Outcome RunScenario(const Scenario& scenario) {
  const base::TemporaryFolder folder;
  std::vector<std::string> words{"mpirun", "--allow-run-as-root", "--oversubscribe", "--bind-to", "none"};
  if (scenario.recovery) words.push_back("--enable-recovery");
  const std::string self = std::filesystem::read_symlink("/proc/self/exe");
  for (const std::string& word :
       {std::string("-n"), std::to_string(kRanks), self, std::string("--ranks"), scenario.name, folder.path().string(),
        scenario.end}) {
    words.push_back(word);
  }
  const auto start = std::chrono::steady_clock::now();
  Outcome outcome;
  outcome.result = test::RunCommand(words, {.deadline_s = 60});
  outcome.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  for (int rank = 0; rank < kRanks; ++rank) {
    outcome.caught.push_back(ReadText(folder.path() / Text("caught", rank)));
    outcome.pids.push_back(ReadText(folder.path() / Text("pid", rank)));
  }
  return outcome;
}

/// Third field of /proc/PID/stat after the name in parentheses; Z: ended, waiting for its parent to ask.
bool IsAlive(const std::string& pid) {
  const std::string stat = ReadText("/proc/" + pid + "/stat");
  const size_t name_end = stat.rfind(')');
  return name_end != std::string::npos && stat.at(name_end + 2) != 'Z';
}

/// Whoever mpirun has left behind after ten seconds. It sends its signals just before it ends, so a moment may pass.
std::vector<std::string> Orphans(const Outcome& outcome) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  std::vector<std::string> alive;
  do {
    sched_yield();
    alive.clear();
    for (const std::string& pid : outcome.pids) {
      if (IsAlive(pid)) alive.push_back(pid);
    }
  } while (!alive.empty() && std::chrono::steady_clock::now() < deadline);
  return alive;
}

void ExpectEnded(const Outcome& outcome) {
  for (const std::string& pid : outcome.pids) EXPECT_FALSE(pid.empty()) << outcome.result.err;
  EXPECT_THAT(Orphans(outcome), testing::IsEmpty());
  // Start, 2 s of deadline, at most 2 s of farewell, on a loaded machine; a hang would last 60 s.
  EXPECT_LT(outcome.seconds, 30);
}

TEST(Faults, AKilledRankIsNamedByEveryOther) {
  const Outcome outcome = RunScenario({"killed", "return", /*recovery=*/true});
  for (int rank : {0, 2}) {
    EXPECT_THAT(outcome.caught[rank], HasSubstr(Text("rank ", rank, ": AllReduceSum: waited 2 s for rank 1;")));
  }
  ExpectEnded(outcome);
}

TEST(Faults, ARankThatIsKilledWithMessagesInFlightIsNamedWhenTheyAreWaitedFor) {
  const Outcome outcome = RunScenario({"killed_in_flight", "return", /*recovery=*/true});
  for (int rank : {0, 2}) {
    EXPECT_THAT(outcome.caught[rank], HasSubstr(Text("rank ", rank, ": AllToAllV: waited 2 s for rank 1;")));
  }
  ExpectEnded(outcome);
}

TEST(Faults, AKilledRankEndsTheJobAlsoWhenTheOthersAbort) {
  const Outcome outcome = RunScenario({"killed", "abort", /*recovery=*/true});
  EXPECT_THAT(outcome.caught[0] + outcome.caught[2], HasSubstr("AllReduceSum: waited 2 s for rank 1;"));
  ExpectEnded(outcome);
}

TEST(Faults, WithoutRecoveryAKilledRankEndsTheJobAtOnce) {
  const Outcome outcome = RunScenario({"killed", "return"});
  EXPECT_EQ(outcome.result.exit_code, 128 + 9) << outcome.result.err;
  ExpectEnded(outcome);
}

TEST(Faults, AStoppedRankIsNamedAndTheJobEndsWithCodeFour) {
  const Outcome outcome = RunScenario({"stopped", "abort"});
  EXPECT_THAT(outcome.caught[0] + outcome.caught[2], HasSubstr("AllReduceSum: waited 2 s for rank 1;"));
  EXPECT_EQ(outcome.result.exit_code, 4) << outcome.result.err;
  ExpectEnded(outcome);
}

TEST(Faults, ABarrierNamesExactlyTheMissingRank) {
  const Outcome outcome = RunScenario({"stopped_in_barrier", "abort"});
  EXPECT_THAT(outcome.caught[0] + outcome.caught[2], HasSubstr("Barrier: waited 2 s for rank 1;"));
  EXPECT_EQ(outcome.result.exit_code, 4) << outcome.result.err;
  ExpectEnded(outcome);
}

TEST(Faults, AGroupThatIsNotCompleteEndsAtTheDeadlineToo) {
  const Outcome outcome = RunScenario({"stopped_before_joining", "abort"});
  EXPECT_THAT(outcome.caught[0] + outcome.caught[2], HasSubstr("joining the group: waited 2 s for all 3 ranks"));
  EXPECT_EQ(outcome.result.exit_code, 4) << outcome.result.err;
  ExpectEnded(outcome);
}

TEST(Faults, ARankInAnotherOperationIsToldByWhatItSent) {
  const Outcome outcome = RunScenario({"other_operation", "return", /*recovery=*/true});
  EXPECT_THAT(outcome.caught[0], HasSubstr("waited 2 s for rank 1; rank 1 has sent for Barrier, call 2 while this is "
                                           "AllReduceSum, call 2"));
  EXPECT_THAT(outcome.caught[1], HasSubstr("rank 1: Barrier: waited 2 s for ranks 0, 2; rank 0 has sent for AllReduceSum"));
  ExpectEnded(outcome);
}

TEST(Faults, ARankWithAnotherLengthIsNamed) {
  const Outcome outcome = RunScenario({"other_length", "return", /*recovery=*/true});
  EXPECT_THAT(outcome.caught[0], HasSubstr("rank 1 sent more than the 40 bytes that were expected"));
  EXPECT_THAT(outcome.caught[1], HasSubstr("sent 40 bytes where 400 were expected"));
  ExpectEnded(outcome);
}

TEST(Faults, ARankThatLeavesWithItsOwnErrorGivesTheJobItsExitCode) {
  const Outcome outcome = RunScenario({"own_error", "return"});
  EXPECT_EQ(outcome.result.exit_code, 3) << outcome.result.err;
  ExpectEnded(outcome);
}

}  // namespace
}  // namespace basin::comm
