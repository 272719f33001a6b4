// The commands on finished models: check, eval, merge, lmc, inspect, report, as a user calls them.
#include <gtest/gtest.h>

#include "base/files.h"
#include "base/json.h"
#include "base/safetensors.h"
#include "tests/support/finished_run.h"

namespace basin {
namespace {

using base::Json;
using test::CommandResult;
using test::Program;

const std::string kConfig = std::string(BASIN_SOURCE_DIR) + "/configs/smoke.yaml";

class Commands : public test::FinishedRun {
 protected:
  static void SetUpTestSuite() { Train({kConfig}); }
  static Json Result() { return base::ReadJson(Path("run/result.json")); }
};

TEST_F(Commands, EvalFindsTheScoresOfTheRun) {
  const Json report = AsJson({"eval", kConfig, Member(0), Member(1), "--ensemble", "--json"});
  for (int m = 0; m < 2; ++m) {
    EXPECT_EQ(report["models"][m]["test"]["accuracy"], Result()["member"][m]["test_accuracy"]);
    // The run used one thread a member, eval uses all cores: sums of another order.
    EXPECT_NEAR(report["models"][m]["test"]["loss"], Result()["member"][m]["test_loss"], 1e-5);
  }
  EXPECT_EQ(report["ensemble"]["test"]["accuracy"], Result()["ensemble"]["test_accuracy"]);
}

TEST_F(Commands, MergeWithoutDataEqualsTheAverageOfTheRun) {
  const CommandResult merged = Basin({"merge", Member(0), Member(1), "--out", Path("merged.safetensors")});
  ASSERT_EQ(merged.exit_code, 0) << merged.err;
  EXPECT_EQ(Basin({"inspect", Path("merged.safetensors"), "--diff", Path("run/average_raw.safetensors")}).exit_code, 0);
  EXPECT_TRUE(base::ReadJson(Path("merged.safetensors.json"))["distance_squared"].is_array());
}

TEST_F(Commands, MergeWithRecomputedStatisticsScoresLikeTheAverageOfTheRun) {
  const Json report = AsJson({"merge", kConfig, Member(0), Member(1), "--renorm", "reset", "--out", Path("reset.safetensors"), "--json"});
  EXPECT_NEAR(report["test"]["loss"], Result()["average"]["test_loss"], 1e-4);  // threads sum in another order
}

TEST_F(Commands, MergeOffersMedianTrimmedMeanAndGreedySoup) {
  for (const char* method : {"median", "trimmed-mean", "greedy-soup"}) {
    const std::string out = Path(std::string(method) + ".safetensors");
    const CommandResult merged = Basin({"merge", kConfig, Member(0), Member(1), "--method", method, "--out", out});
    EXPECT_EQ(merged.exit_code, 0) << method << merged.err;
    EXPECT_TRUE(std::filesystem::exists(out)) << method;
  }
}

TEST_F(Commands, GreedySoupWithoutAConfigurationIsRefused) {
  const CommandResult refused = Basin({"merge", Member(0), "--method", "greedy-soup", "--out", Path("x.safetensors")});
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_FALSE(std::filesystem::exists(Path("x.safetensors")));
}

TEST_F(Commands, LmcWritesCurvesAndBarriers) {
  const Json report = AsJson({"lmc", kConfig, Member(0), Member(1), "--points", "5", "--out", Path("lmc"), "--json"});
  EXPECT_EQ(report["points"], 5);
  EXPECT_EQ(base::ReadJson(Path("lmc/barriers.json")), report);
  const std::string csv = base::ReadFile(Path("lmc/lmc.csv"));
  EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n') - 1, 5 * static_cast<int64_t>(report["lmc"].size()));
}

TEST_F(Commands, InspectListsTensorsAndFindsDifferences) {
  const Json report = AsJson({"inspect", Member(0), "--json"});
  EXPECT_EQ(report["metadata"]["format"], "pt");
  EXPECT_GT(report["tensors"].size(), 10u);
  EXPECT_EQ(Basin({"inspect", Member(0), "--diff", Member(0)}).exit_code, 0);
  const CommandResult differs = Basin({"inspect", Member(0), "--diff", Member(1)});
  EXPECT_EQ(differs.exit_code, 1);
  EXPECT_NE(differs.out.find("conv1.weight"), std::string::npos);
}

TEST_F(Commands, CheckPrintsAConfigurationThatChecksAgain) {
  const CommandResult first = Basin({"check", kConfig});
  ASSERT_EQ(first.exit_code, 0) << first.err;
  base::WriteFileAtomically(Path("effective.yaml"), first.out);
  const CommandResult second = Basin({"check", Path("effective.yaml")});
  EXPECT_EQ(second.exit_code, 0) << second.err;
  EXPECT_EQ(second.out, first.out);
}

TEST_F(Commands, ReportPutsRunsBesideEachOther) {
  const Json rows = AsJson({"report", Path("run"), "--json"});
  EXPECT_EQ(rows[0]["average"]["mean"], Result()["average"]["test_accuracy"]);
  EXPECT_EQ(Basin({"report", Path("nowhere")}).exit_code, 3);
}

TEST_F(Commands, HelpAndVersionAnswerAndUsageErrorsExitWithTwo) {
  EXPECT_EQ(Basin({"--help"}).exit_code, 0);
  EXPECT_NE(Basin({"--version"}).out.find("LibTorch"), std::string::npos);
  for (const char* command : {"train", "check", "plan", "sweep", "eval", "merge", "lmc", "inspect", "export", "report"}) {
    const CommandResult help = Basin({command, "--help"});
    EXPECT_EQ(help.exit_code, 0) << command;
    EXPECT_NE(help.out.find("--set"), std::string::npos) << command;
  }
  EXPECT_EQ(Basin({}).exit_code, 2);
  EXPECT_EQ(Basin({"trian"}).exit_code, 2);
  EXPECT_EQ(Basin({"train"}).exit_code, 2);
  EXPECT_EQ(Basin({"merge", Member(0), "--method", "mean", "--out", "x"}).exit_code, 2);
}

TEST_F(Commands, AMisspeltCommandIsNamedWithTheNearestOne) {
  const CommandResult result = Basin({"tarin", kConfig});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_NE(result.err.find("'tarin' is not a command (did you mean 'train'?)"), std::string::npos) << result.err;
}

}  // namespace
}  // namespace basin
