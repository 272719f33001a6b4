// Runs that are stopped, by the user or by a peer's death, end soon, with the right exit code, and leave no process behind.
#include <gmock/gmock.h>

#include <csignal>
#include <sstream>

#include "base/error.h"
#include "base/files.h"
#include "base/json.h"
#include "tests/support/command.h"

namespace basin {
namespace {

namespace fs = std::filesystem;
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

  struct Job {
    std::string options{};           ///< of mpirun
    bool resume = false;
    std::string around{};            ///< a program around each rank
    std::vector<std::string> set{};
    std::string then = ":";          ///< shell, once the run is under way; $job is mpirun's process
  };
  /// A run of three ranks. Its last line tells mpirun's exit code.
  CommandResult UnderMpirun(const Job& job) const {
    std::vector<std::string> set = job.set;
    set.emplace_back("population.members=3");
    std::string line;
    for (const auto& word : LongRun(set)) line += "'" + word + "' ";
    if (job.resume) line += "--resume ";
    const std::string script =
        "set -m; mpirun " + job.options + " --allow-run-as-root --oversubscribe --bind-to none -n 3 " + job.around + " " + line +
        "& job=$!; until grep -q step '" + Marker() + "/metrics.jsonl' 2>/dev/null; do kill -0 $job 2>/dev/null || break; done; " + job.then + "; wait $job; echo exit $?";
    return test::RunCommand({"bash", "-c", script}, {.deadline_s = 60});
  }
  static std::vector<std::string> WithLosses(int steps, const std::string& fault) {
    return {fault, Text("train.steps=", steps), "coordinator.on_loss=continue", "coordinator.heartbeat_s=0.5", "coordinator.timeout_s=3"};
  }
  void ExpectMember2Lost() const {
    const base::Json result = base::ReadJson(folder_.path() / "run/result.json");
    ASSERT_EQ(result.at("lost").size(), 1u);
    EXPECT_EQ(result.at("lost")[0].at("member"), 2);
    ASSERT_EQ(result.at("member").size(), 2u);
    for (int id = 0; id < 2; ++id) EXPECT_EQ(result.at("member")[id].at("id"), id);
    EXPECT_TRUE(result.at("bytes").at("predicted_per_rank").is_null()) << "foretold for three";
  }

  /// What must not depend on where a run was cut: the result and the records of each member, without times.
  static base::Json Facts(const fs::path& run) {
    base::Json facts = base::Json::object();
    facts["result"] = base::ReadJson(run / "result.json");
    facts["result"].erase("seconds");
    std::istringstream records(base::ReadFile(run / "metrics.jsonl"));
    for (std::string line; std::getline(records, line);) {
      base::Json record = base::Json::parse(line);
      for (const char* time : {"time", "seconds"}) record.erase(time);
      facts[Text("member ", record.at("member").get<int>())].push_back(std::move(record));
    }
    return facts;
  }

  base::TemporaryFolder folder_;
};

TEST_F(Faults, CtrlCEndsARunOfThreadsWith130AndNoResult) {
  const CommandResult result = test::RunCommand(LongRun(), {.deadline_s = 60, .signal_when_seen = SIGINT, .seen = "step "});
  EXPECT_EQ(result.exit_code, 130) << result.err;
  EXPECT_NE(result.err.find("interrupted"), std::string::npos) << result.err;
  EXPECT_FALSE(fs::exists(folder_.path() / "run/result.json"));
}

TEST_F(Faults, AStoppedPeerEndsTheJobWith4AndIsNamed) {
  const CommandResult result = UnderMpirun({.set = {"comm.timeout_s=2", "faults=[{member: 2, step: 20, action: stop}]"}});
  EXPECT_NE(result.out.find("exit 4"), std::string::npos) << result.out << result.err;
  EXPECT_NE(result.err.find("comm: "), std::string::npos) << result.err;
  EXPECT_NE(result.err.find("rank "), std::string::npos) << result.err;
  EXPECT_EQ(Orphans(), 0);
}

TEST_F(Faults, ASilentPeerEndsTheJobLongBeforeTheDeadlineOfAnExchange) {
  const CommandResult result = UnderMpirun(
      {.set = {"comm.timeout_s=1000", "coordinator.heartbeat_s=0.5", "coordinator.timeout_s=3"},
       .then = "'" + Program("basin") + "' status --json --coordinator $(sed -n 's/.*\"address\": \"\\(.*\\)\".*/\\1/p' '" + Marker() +
               "/coordinator.json'); kill -STOP $(pgrep -f '^[^ ]*bin/basin train.*" + Marker() + "' | tail -n 1)"});
  EXPECT_NE(result.out.find("exit 4"), std::string::npos) << result.out << result.err;
  EXPECT_NE(result.out.find("\"state\": \"training\""), std::string::npos) << result.out;
  EXPECT_NE(result.err.find("was silent for"), std::string::npos) << result.err;
  EXPECT_EQ(Orphans(), 0);
}

TEST_F(Faults, AKilledPeerEndsTheSurvivorsWith4) {
  // With --enable-recovery mpirun lets the survivors speak, but ends with 0 itself; so a shell around each rank tells its code.
  const CommandResult result = UnderMpirun({.options = "--enable-recovery",
                                            .around = "sh -c '\"$@\"; echo ended with $?' sh",
                                            .set = {"comm.timeout_s=2", "faults=[{member: 2, step: 20, action: kill}]"}});
  EXPECT_NE(result.err.find("comm: "), std::string::npos) << result.out << result.err;
  // The exchange, the gather by which ranks agree between steps, or the coordinator.
  EXPECT_TRUE(result.err.find("AllToAllV") != std::string::npos || result.err.find("AllGather") != std::string::npos ||
              result.err.find("closed its connection") != std::string::npos)
      << result.err;
  EXPECT_NE(result.out.find("ended with 4"), std::string::npos) << result.out;
  EXPECT_EQ(Orphans(), 0);
}

TEST_F(Faults, ADamagedCheckpointAndAKillCostNothingButTime) {
  const auto run = [&](const std::string& folder, const std::vector<std::string>& more) {
    std::vector<std::string> words{Program("basin"), "train", std::string(BASIN_SOURCE_DIR) + "/configs/smoke.yaml", "--run-dir",
                                   (folder_.path() / folder).string(), "--set", "train.steps=190", "--set", "checkpoint.every_steps=60",
                                   "--set", "checkpoint.keep=3"};
    words.insert(words.end(), more.begin(), more.end());
    return test::RunCommand(words, {.deadline_s = 60});
  };
  ASSERT_EQ(run("whole", {}).exit_code, 0);
  // Killed while it writes the next checkpoint, which waits for the one before to be complete.
  const std::string faults = "faults=[{member: 1, step: 120, operation: checkpoint, action: corrupt}, "
                             "{member: 0, step: 180, operation: checkpoint, action: kill}]";
  EXPECT_NE(run("broken", {"--set", faults}).exit_code, 0);
  const CommandResult resumed = run("broken", {"--resume"});
  EXPECT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_NE(resumed.err.find("step-00000120/rank-001.safetensors"), std::string::npos) << resumed.err;
  const auto members = [&](const std::string& folder) { return base::ReadJson(folder_.path() / folder / "result.json").at("member"); };
  EXPECT_EQ(members("broken"), members("whole"));
}

TEST_F(Faults, TheOthersFinishWithoutAKilledPeerWhereLossesArePermitted) {
  const CommandResult result =
      UnderMpirun({.options = "--enable-recovery", .set = WithLosses(100, "faults=[{member: 2, step: 20, action: kill}]")});
  EXPECT_NE(result.out.find("exit 0"), std::string::npos) << result.out << result.err;
  ExpectMember2Lost();
  EXPECT_NE(result.out.find("lost: member 2"), std::string::npos) << result.out;
  EXPECT_EQ(Orphans(), 0);
}

TEST_F(Faults, ARunThatLostAMemberGoesOnFromALaterCheckpointToTheSameBits) {
  auto set = WithLosses(100, "faults=[{member: 0, step: 20, action: kill}]");
  set.emplace_back("checkpoint={every_steps: 30, keep: 9}");
  const CommandResult whole = UnderMpirun({.options = "--enable-recovery", .set = set});
  ASSERT_NE(whole.out.find("exit 0"), std::string::npos) << whole.out << whole.err;
  const fs::path run = folder_.path() / "run", kept = folder_.path() / "whole";
  fs::copy(run, kept, fs::copy_options::recursive);
  // As it was once the checkpoint of step 60 was complete, and then killed.
  for (const char* later : {"result.json", "members", "checkpoints/step-00000090", "checkpoints/step-00000100"}) fs::remove_all(run / later);
  set.front() = "faults=[]";
  const CommandResult resumed = UnderMpirun({.options = "--enable-recovery", .resume = true, .set = set});
  ASSERT_NE(resumed.out.find("exit 0"), std::string::npos) << resumed.out << resumed.err;
  EXPECT_NE(resumed.err.find("member 0 was lost at step"), std::string::npos) << resumed.err;
  EXPECT_EQ(Facts(run), Facts(kept));
  EXPECT_EQ(Orphans(), 0);
}

TEST_F(Faults, TheOthersFinishWithoutRank0AsWellThoughItStartedTheCoordinator) {
  const CommandResult result =
      UnderMpirun({.options = "--enable-recovery", .set = WithLosses(100, "faults=[{member: 0, step: 20, action: kill}]")});
  EXPECT_NE(result.out.find("exit 0"), std::string::npos) << result.out << result.err;
  const base::Json written = base::ReadJson(folder_.path() / "run/result.json");
  ASSERT_EQ(written.at("lost").size(), 1u);
  EXPECT_EQ(written.at("lost")[0].at("member"), 0);
  EXPECT_EQ(written.at("member").size(), 2u);
  EXPECT_EQ(Orphans(), 0);
  const std::string until_gone = "until [ ! -e '" + Marker() + "/coordinator.json' ]; do :; done";
  EXPECT_EQ(test::RunCommand({"timeout", "20", "sh", "-c", until_gone}).exit_code, 0) << "the coordinator ends when the last member has left";
}

TEST_F(Faults, APeerOfWhichNothingArrivesIsPutOut) {
  const CommandResult result = UnderMpirun(
      {.options = "--enable-recovery", .set = WithLosses(200, "faults=[{member: 2, step: 20, action: drop, seconds: 6}]")});
  EXPECT_NE(result.out.find("exit 0"), std::string::npos) << result.out << result.err;
  EXPECT_NE(result.err.find("silent"), std::string::npos) << result.err;
  ExpectMember2Lost();
  EXPECT_EQ(Orphans(), 0);
}

TEST_F(Faults, ALostPeersLastCheckpointTakesPartInTheFinishUnlessItIsToBeLeftOut) {
  std::vector<std::string> set = WithLosses(100, "faults=[{member: 2, step: 70, action: kill}]");
  set.insert(set.end(), {"checkpoint.every_steps=15"});
  for (const bool takes_part : {true, false}) {
    if (!takes_part) set.insert(set.end(), {"coordinator.finish_with_lost=false"});
    const CommandResult result = UnderMpirun({.options = "--enable-recovery", .set = set});
    EXPECT_NE(result.out.find("exit 0"), std::string::npos) << result.out << result.err;
    const base::Json written = base::ReadJson(folder_.path() / "run/result.json");
    ASSERT_EQ(written.at("member").size(), takes_part ? 3u : 2u);
    EXPECT_EQ(written.at("lmc").size() % (takes_part ? 3 : 1), 0u);
    if (takes_part) {
      // Step 60's may have been under way when the member was killed.
      EXPECT_THAT(written.at("member")[2].at("checkpoint_step").get<int>(), testing::AnyOf(45, 60));
    }
    EXPECT_EQ(fs::exists(folder_.path() / "run/members/002.safetensors"), takes_part);
    fs::remove_all(folder_.path() / "run");
  }
}

TEST_F(Faults, APeerKilledWhileConnectivityIsMeasuredTakesPartWithWhatItHandedIn) {
  const CommandResult result = UnderMpirun(
      {.options = "--enable-recovery", .set = WithLosses(100, "faults=[{member: 2, step: 0, operation: connectivity, action: kill}]")});
  EXPECT_NE(result.out.find("exit 0"), std::string::npos) << result.out << result.err;
  const base::Json written = base::ReadJson(folder_.path() / "run/result.json");
  EXPECT_EQ(written.at("lost")[0].at("member"), 2);
  ASSERT_EQ(written.at("member").size(), 3u);
  const auto whole = folder_.path() / "whole";
  std::vector<std::string> words{Program("basin"), "train", (folder_.path() / "run/config.yaml").string(), "--quiet", "--run-dir", whole.string(),
                                 "--set", "faults=[]"};
  ASSERT_EQ(test::RunCommand(words).exit_code, 0);
  const base::Json undisturbed = base::ReadJson(whole / "result.json");
  for (const char* key : {"member", "average", "ensemble", "lmc"}) EXPECT_EQ(written.at(key), undisturbed.at(key)) << key;
  EXPECT_EQ(Orphans(), 0);
}

TEST_F(Faults, APeerThatWakesUpTooLateIsPutOut) {
  const CommandResult result = UnderMpirun(
      {.options = "--enable-recovery",
       .set = WithLosses(400, "faults=[{member: 2, step: 20, action: stop}]"),
       .then = "until grep -q lost '" + Marker() + "/metrics.jsonl'; do kill -0 $job || exit 98; done; "
               "kill -CONT $(pgrep -f '^[^ ]*bin/basin train.*" + Marker() + "' | tail -n 1)"});
  EXPECT_NE(result.out.find("exit 0"), std::string::npos) << result.out << result.err;
  EXPECT_NE(result.err.find("rank 2 on "), std::string::npos) << result.err;
  EXPECT_NE(result.err.find("the run has put this rank out"), std::string::npos) << result.err;
  ExpectMember2Lost();
  EXPECT_EQ(Orphans(), 0);
}

}  // namespace
}  // namespace basin
