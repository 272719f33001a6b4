// Whole runs of the real program: threads equal processes, runs repeat, files are complete.
#include <gtest/gtest.h>

#include <set>

#include "base/error.h"
#include "base/files.h"
#include "base/json.h"
#include "base/safetensors.h"
#include "tests/support/command.h"

namespace basin {
namespace {

using base::Json;
using test::CommandResult;
using test::Program;

const std::string kConfig = std::string(BASIN_SOURCE_DIR) + "/configs/smoke.yaml";

class Train : public testing::Test {
 protected:
  std::vector<std::string> Words(const std::string& run, const std::vector<std::string>& set = {}) const {
    std::vector<std::string> words{Program("basin"), "train", kConfig, "--quiet", "--run-dir", Dir(run)};
    for (const auto& entry : set) words.insert(words.end(), {"--set", entry});
    return words;
  }
  Json Threads(const std::string& run, const std::vector<std::string>& set = {}) const {
    const CommandResult result = test::RunCommand(Words(run, set));
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return base::ReadJson(Dir(run) + "/result.json");
  }
  Json Processes(const std::string& run, int ranks, const std::vector<std::string>& set = {}) const {
    const CommandResult result = test::RunUnderMpi(ranks, Words(run, set));
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return base::ReadJson(Dir(run) + "/result.json");
  }
  std::string Dir(const std::string& run) const { return (folder_.path() / run).string(); }
  static std::vector<std::string> Hashes(const Json& result) {
    std::vector<std::string> hashes;
    for (const Json& member : result["member"]) hashes.push_back(member["weights_hash"]);
    return hashes;
  }

 private:
  base::TemporaryFolder folder_;
};

TEST_F(Train, GivesTheSameBitsAsThreadsAsProcessesAndAgain) {
  const Json threads = Threads("threads"), processes = Processes("processes", 2), again = Threads("again");
  EXPECT_EQ(Hashes(threads), Hashes(processes));
  EXPECT_EQ(Hashes(threads), Hashes(again));
  EXPECT_EQ(threads["bytes"], processes["bytes"]);
  EXPECT_EQ(threads["lmc"], processes["lmc"]);
  EXPECT_EQ(threads["average"], processes["average"]);
  EXPECT_EQ(threads["backend"], "in_process");
  EXPECT_EQ(processes["backend"], "mpi");
}

TEST_F(Train, TracesTheOperationsOfEveryRankOnRequest) {
  Processes("traced", 2, {"report.trace=true"});
  std::set<std::pair<int, std::string>> seen;
  const Json trace = base::ReadJson(Dir("traced") + "/trace.json");
  for (const Json& event : trace["traceEvents"]) seen.emplace(event["pid"].get<int>(), event["name"].get<std::string>());
  for (int rank : {0, 1}) {
    for (const char* operation : {"step", "exchange", "finish", "connectivity"})
      EXPECT_TRUE(seen.contains({rank, operation})) << "rank " << rank << ": " << operation;
  }
}

TEST_F(Train, WithAnotherSeedGivesOtherWeights) {
  EXPECT_NE(Hashes(Threads("one")), Hashes(Threads("two", {"run.seed=2"})));
}

TEST_F(Train, GivesTheSameBitsAsThreadsAsProcessesForEveryStrategy) {
  const std::vector<std::string> strategies{"independent", "papa", "papa-all", "papa-2", "dart", "local-sgd", "diloco", "sparta", "gossip"};
  for (const std::string& name : strategies) {
    std::string keys = "{name: " + name;
    if (name == "papa-all" || name == "papa-2") keys += ", every_epochs: 1";
    if (name == "dart") keys += ", from_epoch: 1, every_epochs: 1";
    if (name == "papa" || name == "local-sgd" || name == "diloco" || name == "gossip") keys += ", every_steps: 3";
    if (name == "sparta") keys += ", p: 0.05";
    const std::vector<std::string> set{"strategy=" + keys + "}", "population.members=3", "train={steps: 12, batch_size: 64}",
                                       "lmc.pairs=none"};
    const Json threads = Threads("threads-" + name, set), processes = Processes("processes-" + name, 3, set);
    EXPECT_EQ(Hashes(threads), Hashes(processes)) << name;
    EXPECT_EQ(threads["bytes"], processes["bytes"]) << name;
    if (name != "independent") {
      EXPECT_GT(threads["bytes"]["exchanges"], 0) << name;
      EXPECT_GT(threads["bytes"]["payload_per_rank"], 0) << name;
    }
    const double payload = threads["bytes"]["payload_per_rank"], predicted = threads["bytes"]["predicted_per_rank"];
    const double spread = threads["bytes"]["predicted_stddev"];
    // Exact for dense strategies (spread 0); five standard errors for drawn ones. Means of whole bytes over ranks round at 1e-9.
    EXPECT_NEAR(payload, predicted, 5 * spread + 1e-9 * predicted) << name;
  }
}

TEST_F(Train, GivesTheSameBitsForFourMembersInOneProcessInTwoInThreeAndInFour) {
  const std::vector<std::string> set{"population.members=4", "strategy={name: wash, p: 0.05}", "train={steps: 12, batch_size: 64}", "lmc.points=2"};
  const Json one = Threads("one", set);
  for (const int processes : {2, 3, 4}) {
    const Json found = Processes(Text("in-", processes), processes, set);
    EXPECT_EQ(Hashes(one), Hashes(found)) << processes;
    EXPECT_EQ(one["bytes"], found["bytes"]) << processes;
    for (const char* same : {"average", "ensemble", "soup", "lmc"}) EXPECT_EQ(one[same].dump(1), found[same].dump(1)) << same << " in " << processes;
  }
}

TEST_F(Train, GivesTheSameBitsInTwoProcessesWhenExchangesAreLate) {
  const std::vector<std::string> set{"population.members=4", "strategy={name: wash, p: 0.05, delay_steps: 2}", "train={steps: 12, batch_size: 64}",
                                     "lmc.pairs=none"};
  const Json one = Threads("one", set), two = Processes("two", 2, set);
  EXPECT_EQ(Hashes(one), Hashes(two));
  EXPECT_EQ(one["bytes"], two["bytes"]);
}

TEST_F(Train, WithFewerMembersThanProcessesIsRefused) {
  const CommandResult refused = test::RunUnderMpi(3, Words("run"));
  EXPECT_EQ(refused.exit_code, 2) << refused.err;
  EXPECT_NE(refused.err.find("each needs a member"), std::string::npos) << refused.err;
}

TEST_F(Train, WritesEveryFileOfTheContract) {
  Threads("run");
  for (const char* file : {"config.yaml", "metrics.jsonl", "members/000.safetensors", "members/001.safetensors",
                           "average.safetensors", "average_raw.safetensors", "soup.safetensors", "result.json", "lmc.csv"}) {
    EXPECT_TRUE(std::filesystem::exists(Dir("run") + "/" + file)) << file;
  }
  const base::SafetensorsReader member(Dir("run") + "/members/000.safetensors");
  EXPECT_EQ(member.metadata().at("format"), "pt");
  EXPECT_NE(member.Find("conv1.weight"), nullptr);
  const std::string csv = base::ReadFile(Dir("run") + "/lmc.csv");
  EXPECT_EQ(csv.substr(0, csv.find('\n')), "a,b,lambda,split,loss,accuracy,renorm");
}

TEST_F(Train, OfTheEffectiveConfigurationIsTheSameRun) {
  const Json first = Threads("first");
  const CommandResult again =
      test::RunCommand({Program("basin"), "train", Dir("first") + "/config.yaml", "--quiet", "--run-dir", Dir("second")});
  ASSERT_EQ(again.exit_code, 0) << again.err;
  const Json second = base::ReadJson(Dir("second") + "/result.json");
  EXPECT_EQ(first["config_hash"], second["config_hash"]);
  EXPECT_EQ(Hashes(first), Hashes(second));
}

TEST_F(Train, FromTheSameInitialWeightsStartsAllMembersAlike) {
  // With learning rate 0 the initial weights are the final ones.
  const auto same = Hashes(Threads("same", {"train.optimizer.lr=0", "strategy={name: independent}"}));
  EXPECT_EQ(same[0], same[1]);
  const auto different =
      Hashes(Threads("different", {"train.optimizer.lr=0", "strategy={name: independent}", "population.init=different"}));
  EXPECT_NE(different[0], different[1]);
  EXPECT_EQ(different[0], same[0]);
}

TEST_F(Train, RefusesADirectoryWithAFinishedRunUnlessItIsResumed) {
  Threads("run");
  const std::string before = base::ReadFile(Dir("run") + "/result.json");
  const CommandResult refused = test::RunCommand(Words("run"));
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_NE(refused.err.find("finished run"), std::string::npos) << refused.err;
  auto words = Words("run");
  words.push_back("--resume");
  const CommandResult resumed = test::RunCommand(words);
  EXPECT_EQ(resumed.exit_code, 0);
  EXPECT_NE(resumed.err.find("finished"), std::string::npos) << resumed.err;
  EXPECT_EQ(base::ReadFile(Dir("run") + "/result.json"), before);
}

TEST_F(Train, PrintsItsResultAsJson) {
  auto words = Words("run");
  words.push_back("--json");
  const CommandResult result = test::RunCommand(words);
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(Json::parse(result.out), base::ReadJson(Dir("run") + "/result.json"));
}

}  // namespace
}  // namespace basin
