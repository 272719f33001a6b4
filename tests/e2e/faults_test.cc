// Runs that are stopped, by the user or by a peer's death, end soon, with the right exit code, and leave no process behind.
#include <gtest/gtest.h>

#include <csignal>

#include "base/files.h"
#include "tests/support/command.h"

namespace basin {
namespace {

using test::CommandResult;
using test::Program;

class Faults : public testing::Test {
 protected:
  std::vector<std::string> LongRun(const std::vector<std::string>& set = {}) const {
    std::vector<std::string> words{Program("basin"), "train", std::string(BASIN_SOURCE_DIR) + "/configs/smoke.yaml", "--run-dir",
                                   (folder_.path() / "run").string(), "--set", "train.steps=1000000", "--set", "report.progress=on"};
    for (const auto& entry : set) words.insert(words.end(), {"--set", entry});
    return words;
  }
  std::string Marker() const { return (folder_.path() / "run").string(); }
  /// Processes whose command line names this test's run directory.
  int Orphans() const {
    return std::atoi(test::RunCommand({"sh", "-c", "pgrep -c -f '[b]asin train.*" + Marker() + "' || true"}).out.c_str());
  }

  base::TemporaryFolder folder_;
};

TEST_F(Faults, CtrlCEndsARunOfThreadsWith130AndNoResult) {
  const CommandResult result = test::RunCommand(LongRun(), {.deadline_s = 60, .signal_when_seen = SIGINT, .seen = "step "});
  EXPECT_EQ(result.exit_code, 130) << result.err;
  EXPECT_NE(result.err.find("interrupted"), std::string::npos) << result.err;
  EXPECT_FALSE(std::filesystem::exists(folder_.path() / "run/result.json"));
}

TEST_F(Faults, AStoppedPeerEndsTheJobWith4AndIsNamed) {
  // The last rank stops itself once the run is under way; a helper shell sends the signal.
  const std::string script =
      "set -m; mpirun --allow-run-as-root --oversubscribe --bind-to none -n 3 " + [this] {
        std::string line;
        for (const auto& word : LongRun({"population.members=3", "comm.timeout_s=2"})) line += "'" + word + "' ";
        return line;
      }() + " & job=$!; "
      "until grep -q step '" + Marker() + "/metrics.jsonl' 2>/dev/null; do kill -0 $job || exit 99; done; "
      "kill -STOP $(pgrep -f '[b]asin train.*" + Marker() + "' | tail -n 1); wait $job; echo exit $?";
  const CommandResult result = test::RunCommand({"bash", "-c", script}, {.deadline_s = 60});
  EXPECT_NE(result.out.find("exit 4"), std::string::npos) << result.out << result.err;
  EXPECT_NE(result.err.find("comm: "), std::string::npos) << result.err;
  EXPECT_NE(result.err.find("rank "), std::string::npos) << result.err;
  EXPECT_EQ(Orphans(), 0);
}

TEST_F(Faults, ASilentPeerEndsTheJobLongBeforeTheDeadlineOfAnExchange) {
  const std::string script =
      "set -m; mpirun --allow-run-as-root --oversubscribe --bind-to none -n 3 " + [this] {
        std::string line;
        for (const auto& word : LongRun({"population.members=3", "comm.timeout_s=1000", "coordinator.heartbeat_s=0.5",
                                         "coordinator.timeout_s=3"}))
          line += "'" + word + "' ";
        return line;
      }() + " & job=$!; "
      "until grep -q step '" + Marker() + "/metrics.jsonl' 2>/dev/null; do kill -0 $job || exit 99; done; "
      "'" + Program("basin") + "' status --json --coordinator "
      "$(sed -n 's/.*\"address\": \"\\(.*\\)\".*/\\1/p' '" + Marker() + "/coordinator.json'); "
      "kill -STOP $(pgrep -f '[b]asin train.*" + Marker() + "' | tail -n 1); wait $job; echo exit $?";
  const CommandResult result = test::RunCommand({"bash", "-c", script}, {.deadline_s = 60});
  EXPECT_NE(result.out.find("exit 4"), std::string::npos) << result.out << result.err;
  EXPECT_NE(result.out.find("\"state\": \"training\""), std::string::npos) << result.out;
  EXPECT_NE(result.err.find("was silent for"), std::string::npos) << result.err;
  EXPECT_EQ(Orphans(), 0);
}

TEST_F(Faults, AKilledPeerEndsTheSurvivorsWith4) {
  // With --enable-recovery mpirun lets the survivors speak, but ends with 0 itself; so a shell around each rank tells its code.
  const std::string script =
      "set -m; mpirun --enable-recovery --allow-run-as-root --oversubscribe --bind-to none -n 3 sh -c '\"$@\"; echo ended with $?' sh " +
      [this] {
        std::string line;
        for (const auto& word : LongRun({"population.members=3", "comm.timeout_s=2"})) line += "'" + word + "' ";
        return line;
      }() + " & job=$!; "
      "until grep -q step '" + Marker() + "/metrics.jsonl' 2>/dev/null; do kill -0 $job || exit 99; done; "
      "kill -KILL $(pgrep -f '^[^ ]*bin/basin train.*" + Marker() + "' | tail -n 1); wait $job";
  const CommandResult result = test::RunCommand({"bash", "-c", script}, {.deadline_s = 60});
  EXPECT_NE(result.err.find("comm: "), std::string::npos) << result.out << result.err;
  // The exchange, or the gather by which ranks agree between steps.
  EXPECT_TRUE(result.err.find("AllToAllV") != std::string::npos || result.err.find("AllGather") != std::string::npos) << result.err;
  EXPECT_NE(result.out.find("ended with 4"), std::string::npos) << result.out;
  EXPECT_EQ(Orphans(), 0);
}

}  // namespace
}  // namespace basin
