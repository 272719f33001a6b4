// Which checkpoint is chosen, and what is refused.
#include "trainer/checkpoint/resume.h"

#include <gmock/gmock.h>

#include "base/error.h"
#include "tests/support/message_of.h"
#include "tests/support/small_run.h"

namespace basin::trainer {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class Resume : public ::testing::Test {
 protected:
  /// The same run with other settings, looking for a checkpoint.
  std::string Refusal(const std::vector<std::string>& set) const {
    const test::SmallRun other(folder_.path() / "run", set);
    return test::MessageOf<ConfigError>([&] { other.Find(); });
  }
  fs::path File(int64_t step, const std::string& name) const { return run_.dir / "checkpoints" / CheckpointName(step) / name; }
  static void Damage(const fs::path& file) {
    std::string content = base::ReadFile(file);
    content[content.size() / 2] ^= 0x10;
    base::WriteFileAtomically(file, content);
  }
  void SetUp() override { run_.Train(); }

  base::TemporaryFolder folder_;
  test::SmallRun run_{folder_.path() / "run", {"checkpoint={every_steps: 4, keep: 9}"}};  // leaves 4, 8, 12
};

TEST_F(Resume, TakesTheNewestCheckpoint) { EXPECT_EQ(run_.Find()->manifest.step, 12); }

TEST_F(Resume, PassesOverAnIncompleteOne) {
  fs::remove(File(12, kManifestName));
  EXPECT_EQ(run_.Find()->manifest.step, 8);
}

TEST_F(Resume, PassesOverDamagedOnesWhateverIsDamaged) {
  Damage(File(12, RankTensorsName(1)));
  EXPECT_EQ(run_.Find()->manifest.step, 8);
  fs::resize_file(File(8, RankFactsName(0)), 10);
  EXPECT_EQ(run_.Find()->manifest.step, 4);
  Damage(File(4, kManifestName));
  EXPECT_THAT(test::MessageOf<DataError>([&] { run_.Find(); }), HasSubstr("none of the 3 checkpoints"));
}

TEST_F(Resume, RefusesAnotherConfigurationAndNamesTheKeysWithBothValues) {
  const std::string text = Refusal({"train.optimizer.lr=0.5", "strategy.p=0.2"});
  EXPECT_THAT(text, HasSubstr("train.optimizer.lr: 0.1 in the checkpoint, 0.5 here"));
  EXPECT_THAT(text, HasSubstr("strategy.p: 0.1 in the checkpoint, 0.2 here"));
}

TEST_F(Resume, RefusesAnotherNumberOfMembers) {
  EXPECT_THAT(Refusal({"population.members=3"}), HasSubstr("is of 2 members, this run has 3"));
}

TEST_F(Resume, AllowsKeysThatChangeNoBit) {
  const test::SmallRun other(run_.dir, {"run.name=other", "comm.timeout_s=5", "checkpoint.every_steps=100", "report.progress=off",
                                        "coordinator.heartbeat_s=1"});
  EXPECT_EQ(other.Find()->manifest.step, 12);
}

TEST_F(Resume, RefusesAnotherLayoutOfTheWeights) {
  ResumePoint point = *run_.Find();
  point.manifest.layout_hash = "0123456789abcdef";
  EXPECT_THAT(test::MessageOf<ConfigError>([&] { run_.Train(point); }), HasSubstr("another layout of the weights"));
}

TEST_F(Resume, OfAFolderWithoutARunIsRefused) {
  const test::SmallRun empty(folder_.path() / "empty", {"checkpoint.every_steps=4"});
  EXPECT_THAT(test::MessageOf<ConfigError>([&] { empty.Find(); }), HasSubstr("holds no checkpoint to go on from"));
}

TEST_F(Resume, OfARunThatWasKilledBeforeItsFirstCheckpointStartsIt) {
  fs::remove_all(run_.dir / "checkpoints");
  base::WriteFileAtomically(run_.dir / "config.yaml", ToYaml(run_.config));
  EXPECT_FALSE(run_.Find().has_value());
  MakeCheckpointFolder(run_.dir, 4);  // killed while it was written
  EXPECT_FALSE(run_.Find().has_value());
  EXPECT_THAT(Refusal({"checkpoint.every_steps=4", "run.seed=2"}), HasSubstr("run.seed: 1 in the checkpoint, 2 here"));
  EXPECT_THROW(test::SmallRun(run_.dir, {"checkpoint.every_steps=0"}).Find(), DataError);
  MakeCheckpointFolder(run_.dir, 8);  // there was an earlier one
  EXPECT_THROW(run_.Find(), DataError);
}

TEST_F(Resume, OfMetricsLeavesWhatWasWrittenBeforeTheCheckpoint) {
  const auto all = run_.Records(1);
  fs::remove_all(File(12, ""));
  std::string text = base::ReadFile(run_.dir / "metrics.jsonl");
  base::WriteFileAtomically(run_.dir / "metrics.jsonl", text + "{\"kind\": \"step\", \"memb");
  TrimMetrics(run_.dir / "metrics.jsonl", *run_.Find());
  const auto left = run_.Records(1);
  ASSERT_LT(left.size(), all.size());
  EXPECT_TRUE(std::equal(left.begin(), left.end(), all.begin()));
  EXPECT_EQ(left.back()["step"], 7);
  EXPECT_EQ(all[left.size()]["step"], 8);
}

TEST_F(Resume, TakesTheManifestFromDamagedCheckpointsThatItPassedOver) {
  Damage(File(12, RankTensorsName(0)));
  SetDamagedAside(run_.dir, run_.Find()->manifest.step);
  EXPECT_FALSE(ListCheckpoints(run_.dir).front().complete);
  EXPECT_TRUE(ListCheckpoints(run_.dir)[1].complete);
}

}  // namespace
}  // namespace basin::trainer
