// A network of the user's own, from a TorchScript file, through whole runs.
#include <gtest/gtest.h>

#include "base/files.h"
#include "base/json.h"
#include "models/state_dict.h"
#include "tests/support/command.h"
#include "tests/support/script_file.h"

namespace basin {
namespace {

using base::Json;
using test::CommandResult;

constexpr int64_t kInputs = 3 * 20 * 20, kHidden = 64, kClasses = 10;

class TorchScript : public testing::Test {
 protected:
  void SetUp() override {
    tests::WriteScript(Path("net.pt"), {.inputs = kInputs, .hidden = kHidden, .classes = kClasses, .momentum = 0.1});
    base::WriteFileAtomically(Path("run.yaml"), R"(
population: {members: 3}
data: {name: shapes, train_limit: 2000, test_limit: 200}
model: {name: torchscript, path: net.pt}
train: {epochs: 8, batch_size: 100, optimizer: {lr: 0.1}}
strategy: {name: wash, p: 0.05}
evaluate: {batch_size: 100, recalibrate_batches: 4}
checkpoint: {every_steps: 40}
lmc: {points: 3, train_limit: 200}
)");
  }
  std::string Path(const std::string& name) const { return (folder_.path() / name).string(); }
  std::vector<std::string> Train(const std::string& run) const {
    return {test::Program("basin"), "train", Path("run.yaml"), "--quiet", "--run-dir", Path(run)};
  }
  Json Finished(const CommandResult& ended, const std::string& run) const {
    EXPECT_EQ(ended.exit_code, 0) << ended.err;
    return base::ReadJson(Path(run + "/result.json"));
  }
  static std::vector<std::string> Hashes(const Json& result) {
    std::vector<std::string> hashes;
    for (const Json& member : result["member"]) hashes.push_back(member["weights_hash"]);
    return hashes;
  }

 private:
  const base::TemporaryFolder folder_;
};

TEST_F(TorchScript, TrainsExchangesAndAveragesLikeABuiltInNetwork) {
  const Json threads = Finished(test::RunCommand(Train("threads")), "threads");
  EXPECT_GT(threads["bytes"]["payload_per_rank"], 0);
  EXPECT_EQ(threads["average"]["recalibrated"], true);
  // Ten classes: chance is .1.
  EXPECT_GT(threads["average"]["test_accuracy"], 0.2) << threads["average"].dump(1);
  const models::StateDict average = models::ReadState(Path("threads/average.safetensors"));
  EXPECT_NE(models::FindTensor(average, "norm.running_mean"), nullptr);

  const Json processes = Finished(test::RunUnderMpi(2, Train("processes")), "processes");
  EXPECT_EQ(Hashes(threads), Hashes(processes));
  for (const char* same : {"bytes", "average", "lmc"}) EXPECT_EQ(threads[same].dump(1), processes[same].dump(1)) << same;
}

TEST_F(TorchScript, GoesOnToTheSameBits) {
  const Json whole = Finished(test::RunCommand(Train("whole")), "whole");
  std::vector<std::string> cut = Train("cut");
  cut.insert(cut.end(), {"--set", "faults=[{member: 1, step: 95, operation: step, action: kill}]"});
  EXPECT_NE(test::RunCommand(cut).exit_code, 0);
  std::vector<std::string> resumed = Train("cut");
  resumed.push_back("--resume");
  EXPECT_EQ(Hashes(whole), Hashes(Finished(test::RunCommand(resumed), "cut")));
}

TEST_F(TorchScript, IsEvaluatedMeasuredAndMergedFromItsFiles) {
  Finished(test::RunCommand(Train("run")), "run");
  const std::string a = Path("run/members/000.safetensors"), b = Path("run/members/001.safetensors");
  const auto basin = [&](std::vector<std::string> words) {
    words.insert(words.begin(), test::Program("basin"));
    return test::RunCommand(words);
  };
  EXPECT_EQ(basin({"eval", Path("run.yaml"), a}).exit_code, 0);
  EXPECT_EQ(basin({"lmc", Path("run.yaml"), a, b, "--points", "3"}).exit_code, 0);
  EXPECT_EQ(basin({"merge", Path("run.yaml"), a, b, "--renorm", "reset", "--out", Path("merged.safetensors")}).exit_code, 0);

  const CommandResult aligned = basin({"merge", Path("run.yaml"), a, b, "--align", "weight", "--out", Path("aligned.safetensors")});
  EXPECT_EQ(aligned.exit_code, 2);
  EXPECT_NE(aligned.err.find("--symmetry"), std::string::npos) << aligned.err;
  const CommandResult repaired = basin({"merge", Path("run.yaml"), a, b, "--renorm", "repair", "--out", Path("repaired.safetensors")});
  EXPECT_EQ(repaired.exit_code, 2);
  EXPECT_NE(repaired.err.find("TorchScript"), std::string::npos) << repaired.err;

  base::WriteFileAtomically(Path("units.yaml"), "first.weight: [h, null]\nfirst.bias: [h]\nnorm.weight: [h]\nnorm.bias: [h]\n"
                                                "norm.running_mean: [h]\nnorm.running_var: [h]\nlast.weight: [null, h]\n");
  const CommandResult told = basin({"match", a, b, "--align", "weight", "--symmetry", Path("units.yaml"), "--out", Path("matched.safetensors")});
  EXPECT_EQ(told.exit_code, 0) << told.err;
}

}  // namespace
}  // namespace basin
