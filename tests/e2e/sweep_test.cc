// basin sweep as a user calls it: a grid to its end, a second call, a failing run, Ctrl-C and worse.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>

#include "base/files.h"
#include "base/json.h"
#include "tests/support/command.h"

namespace basin {
namespace {

using base::Json;
using test::CommandOptions;
using test::CommandResult;
using testing::HasSubstr;

constexpr const char* kBase = R"(name: tiny
base:
  population: {members: 2}
  data: {name: shapes, train_limit: 200, test_limit: 100}
  model: {name: mlp, norm: none, hidden: [16]}
  train: {steps: 20, batch_size: 20, optimizer: {lr: 0.05}}
  evaluate: {every_epochs: 0, batch_size: 100}
  lmc: {pairs: none}
  report: {tensorboard: false}
  coordinator: {address: none}
)";

class Sweep : public testing::Test {
 protected:
  std::string Path(const std::string& name) const { return (folder_.path() / name).string(); }
  CommandResult Run(const std::string& text, std::vector<std::string> words, CommandOptions options = {}) const {
    options.deadline_s = 400;  // ten processes one after another
    base::WriteFileAtomically(Path("sweep.yaml"), kBase + text);
    words.insert(words.begin(), {test::Program("basin"), "sweep", Path("sweep.yaml"), "--out", Path("out")});
    return test::RunCommand(words, options);
  }
  Json Result(const std::string& run) const { return base::ReadJson(Path("out/runs/" + run + "/result.json")); }
  base::TemporaryFolder folder_;
};

TEST_F(Sweep, GivesTableTestsFrontAndPageAndDoesNothingTwice) {
  const std::string grid =
      "grid: {strategy: [{name: wash, p: 0.2}, {name: sparta, p: 0.2, law: linear}, {name: local-sgd, every_steps: 5}]}\n"
      "seeds: [1, 2]\ncontrols: [independent, one-long-run]\n";
  const CommandResult first = Run(grid, {"--json"});
  ASSERT_EQ(first.exit_code, 0) << first.err;
  const Json json = Json::parse(first.out);
  EXPECT_EQ(json, base::ReadJson(Path("out/sweep.json")));
  ASSERT_EQ(json["settings"].size(), 5u);
  EXPECT_EQ(json["runs"].size(), 10u);
  // The mean is that of the runs' own results.
  const double a = Result("wash-p0.2/seed-1")["average"]["test_accuracy"], b = Result("wash-p0.2/seed-2")["average"]["test_accuracy"];
  EXPECT_DOUBLE_EQ(json["settings"][0]["average"]["mean"], (a + b) / 2);
  EXPECT_DOUBLE_EQ(json["settings"][0]["average"]["sd"], std::abs(a - b) / std::sqrt(2));
  EXPECT_EQ(Result("control-one-long-run/seed-1")["steps"], 40);
  EXPECT_EQ(Result("control-one-long-run/seed-1")["members"], 1);
  EXPECT_THAT(base::ReadFile(Path("out/sweep.html")), HasSubstr("10 of 10 runs are done"));
  EXPECT_THAT(base::ReadFile(Path("out/sweep.csv")), HasSubstr("\nwash-p0.2,2,"));
  const auto written = std::filesystem::last_write_time(Path("out/runs/wash-p0.2/seed-1/result.json"));

  const CommandResult second = Run(grid, {"--markdown"});
  ASSERT_EQ(second.exit_code, 0) << second.err;
  EXPECT_EQ(std::filesystem::last_write_time(Path("out/runs/wash-p0.2/seed-1/result.json")), written);
  EXPECT_THAT(second.out, HasSubstr("| local-sgd-every_steps5 | 2 |"));
  EXPECT_EQ(second.err.find("[10/10]"), std::string::npos);
  EXPECT_EQ(test::RunCommand({test::Program("basin"), "report", Path("out/runs/wash-p0.2")}).exit_code,
            0);  // the folder of a setting is a row
}

TEST_F(Sweep, ARunThatFailsIsListedAndTheOthersGoOn) {
  const CommandResult result = Run("grid: {data.train_limit: [10, 200]}\n", {});  // ten examples are no batch of twenty
  EXPECT_EQ(result.exit_code, 2) << result.err;
  EXPECT_THAT(result.err, HasSubstr("train_limit10/seed-1  FAILED, exit code 2: "));
  EXPECT_THAT(result.out, HasSubstr("failed: train_limit10/seed-1: exit code 2"));
  EXPECT_EQ(Result("train_limit200/seed-1")["steps"], 20);
  EXPECT_EQ(base::ReadJson(Path("out/sweep.json"))["runs"][0]["state"], "failed");
}

TEST_F(Sweep, AChangedConfigurationIsRefusedByNamingTheKey) {
  ASSERT_EQ(Run("", {}).exit_code, 0);
  const CommandResult refused = Run("set: {train.batch_size: 10}\n", {});
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.err, HasSubstr("train.batch_size: 20 in the run that is there, 10 here"));
}

/// The short run ends while the long one beside it is in the middle of its steps.
const std::string kShortAndLong = "grid: {train.steps: [20, 10000]}\n";

class StoppedSweep : public Sweep, public testing::WithParamInterface<int> {};

TEST_P(StoppedSweep, GoesOnToTheBitsOfARunThatNobodyStopped) {
  const CommandResult stopped = Run(kShortAndLong, {"--jobs", "2"}, {.signal_when_seen = GetParam(), .seen = "[1/2]"});
  EXPECT_EQ(stopped.exit_code, GetParam() == SIGINT ? 130 : 128 + GetParam()) << stopped.err;
  EXPECT_FALSE(std::filesystem::exists(Path("out/runs/steps10000/seed-1/result.json"))) << "too fast for this test";
  const CommandResult rest = Run(kShortAndLong, {"--jobs", "2"});
  ASSERT_EQ(rest.exit_code, 0) << rest.err;
  EXPECT_THAT(base::ReadFile(Path("out/runs/steps10000/seed-1.log")), HasSubstr("going on from"));
  const CommandResult whole = test::RunCommand(
      {test::Program("basin"), "train", Path("out/configs/steps10000-seed-1.yaml"), "--quiet", "--run-dir", Path("whole")});
  ASSERT_EQ(whole.exit_code, 0) << whole.err;
  EXPECT_EQ(base::ReadJson(Path("whole/result.json"))["member"][1]["weights_hash"],
            Result("steps10000/seed-1")["member"][1]["weights_hash"]);
}

// SIGKILL: the children are asked to stop by the operating system.
INSTANTIATE_TEST_SUITE_P(By, StoppedSweep, testing::Values(SIGINT, SIGKILL),
                         [](const auto& info) { return info.param == SIGINT ? "CtrlC" : "SigKill"; });

TEST_F(Sweep, ADryRunListsTheRunsAndTrainsNothing) {
  const CommandResult list = Run("seeds: [1, 2]\n", {"--dry-run"});
  EXPECT_EQ(list.exit_code, 0);
  EXPECT_EQ(list.out, "base/seed-1\nbase/seed-2\n");
  EXPECT_FALSE(std::filesystem::exists(Path("out")));
}

TEST_F(Sweep, ARunThatWasKilledBeforeItsFirstCheckpointBeginsAnew) {
  const std::string grid = "grid: {strategy: [{name: papa}]}\n";
  ASSERT_EQ(Run(grid, {"--quiet"}).exit_code, 0);
  const Json before = Result("papa/seed-1").at("member");
  std::filesystem::remove(Path("out/runs/papa/seed-1/result.json"));  // as a kill leaves it
  const CommandResult again = Run(grid, {"--quiet"});
  ASSERT_EQ(again.exit_code, 0) << again.err;
  EXPECT_EQ(Result("papa/seed-1").at("member"), before);
}

TEST_F(Sweep, BudgetsThatCannotBeSpentAreRefusedBeforeAnythingIsTrained) {
  const CommandResult refused = Run("grid: {strategy: [{name: wash, p: 0.1}, {name: papa}]}\nbudgets: [1GB]\n", {"--dry-run"});
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.err, HasSubstr("nearest possible"));
  EXPECT_FALSE(std::filesystem::exists(Path("out")));
}

TEST_F(Sweep, ALauncherStartsTheRanks) {
  const CommandResult result =
      Run("grid: {strategy.name: [wash]}\n", {"--launcher", "mpirun --allow-run-as-root --oversubscribe --bind-to none -n {members}"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(Result("wash/seed-1")["backend"], "mpi");
}

TEST_F(Sweep, AMissingLauncherAndOtherUsageErrorsExitWithTwo) {
  const CommandResult missing = Run("", {"--launcher", "no-such-launcher -n {members}"});
  EXPECT_EQ(missing.exit_code, 2);
  EXPECT_THAT(missing.err, HasSubstr("cannot start no-such-launcher"));
  EXPECT_EQ(Run("", {"--jobs", "0"}).exit_code, 2);
  EXPECT_EQ(test::RunUnderMpi(1, {test::Program("basin"), "sweep", Path("sweep.yaml"), "--out", Path("out")}).exit_code, 2);
}

}  // namespace
}  // namespace basin
