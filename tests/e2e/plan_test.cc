// basin plan, the emulated link and budgets, as a user meets them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/files.h"
#include "base/json.h"
#include "tests/support/command.h"

namespace basin {
namespace {

using base::Json;
using test::CommandResult;
using testing::HasSubstr;

const std::string kConfig = std::string(BASIN_SOURCE_DIR) + "/configs/smoke.yaml";

CommandResult Basin(std::vector<std::string> words) {
  words.insert(words.begin(), test::Program("basin"));
  return test::RunCommand(words);
}

Json PlanOf(std::vector<std::string> words) {
  words.insert(words.begin(), {"plan", kConfig, "--json"});
  const CommandResult result = Basin(words);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  return Json::parse(result.out);
}

const Json& Row(const Json& rows, const std::string& name) {
  for (const Json& row : rows) {
    if (row["name"] == name) return row;
  }
  throw std::runtime_error("no row " + name);
}

TEST(PlanCommand, ForetellsEveryStrategyOnALink) {
  const Json plan = PlanOf({"--link", "100Mbps,5ms", "--set", "strategy={name: papa, every_steps: 5}"});
  EXPECT_EQ(plan["strategies"].size(), 10u);
  const Json& papa = Row(plan["strategies"], "papa");
  EXPECT_TRUE(papa["configured"]);
  EXPECT_EQ(papa["exchanges"], 4);  // 20 steps
  // Two members: two latencies, and as many bytes as the vector has.
  const double bytes = papa["bytes_per_rank"], one = bytes / 4;
  EXPECT_NEAR(papa["transfer_seconds"].get<double>(), 4 * (2 * 5e-3 + one / 12.5e6), 1e-6);
  EXPECT_GT(papa["seconds"].get<double>(), papa["transfer_seconds"].get<double>());
  EXPECT_LT(papa["seconds"].get<double>(), 1.05 * papa["transfer_seconds"].get<double>());  // averaging is cheap beside this link
  EXPECT_GT(papa["memory_bytes"].get<double>(), 0);
}

TEST(PlanCommand, ReadsNoDataSetAndTakesOtherMembers) {
  const Json plan = PlanOf({"--members", "8", "--set", "data={name: cifar10, path: /nowhere/cifar}", "--set", "train.epochs=3"});
  EXPECT_TRUE(plan["data_as_published"]);
  EXPECT_EQ(plan["members"], 8);
  EXPECT_EQ(plan["steps"], 3 * (49'000 / 32));
  EXPECT_TRUE(Row(plan["strategies"], "wash")["seconds"].is_null());
}

TEST(PlanCommand, FindsSettingsForABudgetOfARunAndOfAStep) {
  const Json run = PlanOf({"--budget", "400kB"}), step = PlanOf({"--budget", "20KB/step"});  // 20 steps
  EXPECT_EQ(run["budget"], step["budget"]);
  const Json& wash = Row(run["budget"]["strategies"], "wash");
  ASSERT_TRUE(wash["fits"]) << wash;
  EXPECT_NEAR(wash["bytes_per_rank"].get<double>(), 4e5, 0.02 * 4e5);
}

TEST(PlanCommand, PrintsATableWithTheConfiguredStrategyMarked) {
  const CommandResult result = Basin({"plan", kConfig, "--link", "1Gbps,50us", "--budget", "400kB"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  for (const char* words :
       {"link 1Gbps,50us", "* ", "local-sgd", "exchange ms a step", "to send 400", "--set 'strategy={name: wash"}) {
    EXPECT_THAT(result.out, HasSubstr(words));
  }
}

TEST(PlanCommand, RefusesWhatIsNoLinkNoBudgetNoConfiguration) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> bad{
      {{"plan", kConfig, "--link", "fast"}, "such as 1Gbps,50us"},
      {{"plan", kConfig, "--link", "1Gbps,5"}, "no unit"},
      {{"plan", kConfig, "--budget", "50"}, "no unit"},
      {{"plan", kConfig, "--budget", "0MB"}, "--budget is 0"},
      {{"plan", kConfig, "--budget", "5MB/epoch"}, "unit 'MB/epoch' is not known"},
      {{"plan", kConfig, "--members", "0"}, "--members"},
      {{"plan", kConfig, "--probe", "--link", "1Gbps,50us"}, "two answers"},
      {{"plan"}, "CONFIG.yaml"},
      {{"plan", "/nowhere.yaml"}, "/nowhere.yaml"},
  };
  for (const auto& [words, said] : bad) {
    const CommandResult result = Basin(words);
    EXPECT_EQ(result.exit_code, 2) << said;
    EXPECT_THAT(result.err + result.out, HasSubstr(said));
  }
  const base::TemporaryFolder folder;
  base::WriteFileAtomically(folder.path() / "empty.yaml", "");
  const CommandResult empty = Basin({"plan", (folder.path() / "empty.yaml").string()});
  EXPECT_EQ(empty.exit_code, 2);
  EXPECT_THAT(empty.err, HasSubstr("the file is empty"));
}

TEST(PlanCommand, ProbesBetweenProcessesAndFindsTheEmulatedLink) {
  const CommandResult result = test::RunUnderMpi(
      2, {test::Program("basin"), "plan", kConfig, "--probe", "--json", "--set", "comm.emulate={latency: 2ms, bandwidth: 200Mbps}"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const Json plan = Json::parse(result.out);
  const Json& table = plan["probe"]["all_to_all"];
  for (size_t k = 0; k < table["bytes"].size(); ++k) {
    const double expected = 2e-3 + table["bytes"][k].get<double>() / 25e6;
    // A busy machine wakes ranks late: medians lie a little above what the link takes, never below it.
    EXPECT_GE(table["seconds"][k].get<double>(), 0.99 * expected);
    EXPECT_LE(table["seconds"][k].get<double>(), 1.5 * expected);
  }
}

TEST(PlanCommand, AProbeNeedsAProcessForEachMember) {
  const CommandResult result = test::RunUnderMpi(3, {test::Program("basin"), "plan", kConfig, "--probe"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("mpirun -n 2, or --members 3"));
}

class Budgeted : public testing::Test {
 protected:
  /// result.json of a run with these words behind it.
  Json Train(const std::string& name, std::vector<std::string> words) {
    words.insert(words.begin(), {"train", kConfig, "--quiet", "--run-dir", Path(name), "--set", "lmc.pairs=none"});
    const CommandResult result = Basin(words);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return base::ReadJson(Path(name) + "/result.json");
  }
  std::string Path(const std::string& name) const { return (folder_.path() / name).string(); }

 private:
  base::TemporaryFolder folder_;
};

TEST_F(Budgeted, ARunEndsAtItsBytesAndSaysSo) {
  const Json result = Train("bytes", {"--set", "strategy.budget={bytes_per_rank: 400kB}"});
  EXPECT_NEAR(result["bytes"]["payload_per_rank"].get<double>(), 4e5, 0.02 * 4e5);
  EXPECT_EQ(result["budget"]["bytes_per_rank"], 4e5);
  EXPECT_EQ(result["budget"]["spent"], result["bytes"]["payload_per_rank"]);
  EXPECT_GT(result["budget"]["p"].get<double>(), 0);
  EXPECT_EQ(result["plan"]["bytes_per_rank"], result["bytes"]["predicted_per_rank"]);
}

TEST_F(Budgeted, TheSameWeightsAreFoundThroughAnEmulatedLinkAsWithout) {
  const Json plain = Train("plain", {}), slow = Train("slow", {"--set", "comm.emulate={latency: 1ms, bandwidth: 1Gbps}"});
  for (int m = 0; m < 2; ++m) EXPECT_EQ(plain["member"][m]["weights_hash"], slow["member"][m]["weights_hash"]);
  EXPECT_EQ(plain["config_hash"], slow["config_hash"]);
  EXPECT_EQ(plain["bytes"], slow["bytes"]);
  EXPECT_TRUE(plain["plan"]["seconds"].is_null());
  // Twenty exchanges of a latency each; measured time cannot be less, and has the waiting for the other member on top.
  EXPECT_GE(slow["plan"]["seconds"].get<double>(), 20e-3);
  EXPECT_GE(slow["seconds"]["exchange"].get<double>(), 0.95 * slow["plan"]["seconds"].get<double>());
}

TEST_F(Budgeted, AResumedRunSpendsTheSameBytesOnTheSameWeights) {
  const std::vector<std::string> budget{"--set", "strategy={name: papa, budget: {bytes_per_rank: 970kB}}", "--set",
                                        "model={name: mlp, hidden: [20], norm: none}"};
  const Json whole = Train("whole", budget);
  std::vector<std::string> words = budget;
  words.insert(words.end(),
               {"--set", "checkpoint.every_steps=7", "--set", "faults=[{member: 1, step: 10, operation: step, action: fail}]"});
  words.insert(words.begin(), {"train", kConfig, "--quiet", "--run-dir", Path("cut"), "--set", "lmc.pairs=none"});
  EXPECT_NE(Basin(words).exit_code, 0);
  std::vector<std::string> resumed = budget;
  resumed.insert(resumed.end(), {"--set", "checkpoint.every_steps=7", "--resume"});
  const Json again = Train("cut", resumed);
  for (int m = 0; m < 2; ++m) EXPECT_EQ(whole["member"][m]["weights_hash"], again["member"][m]["weights_hash"]);
  EXPECT_EQ(whole["bytes"], again["bytes"]);
}

TEST_F(Budgeted, AnImpossibleOneIsRefusedWithTheNearestBeforeAnythingIsWritten) {
  const CommandResult result =
      Basin({"train", kConfig, "--run-dir", Path("refused"), "--set", "strategy={name: papa, budget: {bytes_per_rank: 1B}}"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("the nearest possible: "));
  EXPECT_FALSE(std::filesystem::exists(Path("refused")));
  EXPECT_EQ(Basin({"check", kConfig, "--set", "strategy={name: papa, budget: {bytes_per_rank: 1B}}"}).exit_code, 2);
}

}  // namespace
}  // namespace basin
