// The job script of launch/ under a real Slurm of one node.
#include <gtest/gtest.h>

#include "base/files.h"
#include "base/json.h"
#include "tests/support/command.h"

namespace basin {
namespace {

/// So many steps of the smoke recipe with a checkpoint every ten; hashes of the members.
class Slurm : public testing::TestWithParam<std::string> {
 protected:
  std::vector<std::string> Options(const std::string& run, const std::string& steps) const {
    return {Config(), "--run-dir", (folder_.path() / run).string(), "--set", "train.steps=" + steps, "--set", "lmc.pairs=none", "--set",
            "checkpoint.every_steps=10"};
  }
  std::string Config() const { return std::string(BASIN_SOURCE_DIR) + "/configs/smoke.yaml"; }
  test::CommandResult Job(const std::string& checkpoint, const std::vector<std::string>& options) const {
    std::vector<std::string> command{std::string(BASIN_SOURCE_DIR) + "/tests/e2e/slurm.sh", test::Program("basin"), folder_.path().string(), GetParam(),
                                     checkpoint};
    command.insert(command.end(), options.begin(), options.end());
    return test::RunCommand(command, {.deadline_s = 240});
  }
  base::Json ByThreads(const std::string& steps) const {
    std::vector<std::string> command{test::Program("basin"), "train", "--quiet"};
    for (const std::string& option : Options("threads", steps)) command.push_back(option);
    const test::CommandResult alone = test::RunCommand(command, {.deadline_s = 120});
    EXPECT_EQ(alone.exit_code, 0) << alone.err;
    return Members("threads");
  }
  base::Json Members(const std::string& run) const { return base::ReadJson(folder_.path() / run / "result.json").at("member"); }

  const base::TemporaryFolder folder_;
};

TEST_P(Slurm, RunsTheJobScriptToTheSameBitsAsThreads) {
  const test::CommandResult job = Job("none", Options("run", "20"));
  if (job.exit_code == 77) GTEST_SKIP() << job.out;
  ASSERT_NE(job.out.find("exit 0"), std::string::npos) << job.out << job.err;
  EXPECT_EQ(Members("run"), ByThreads("20"));
}

TEST_P(Slurm, AJobThatNearsItsTimeLimitGoesBackIntoTheQueueAndOnToTheSameBits) {
  const test::CommandResult job = Job((folder_.path() / "run" / "checkpoints").string(), Options("run", "1000"));
  if (job.exit_code == 77) GTEST_SKIP() << job.out;
  ASSERT_NE(job.out.find("state COMPLETED, restarts 1"), std::string::npos) << job.out << job.err;
  EXPECT_NE(job.out.find("put into the queue again"), std::string::npos) << job.out;
  EXPECT_EQ(Members("run"), ByThreads("1000"));
}

INSTANTIATE_TEST_SUITE_P(StartedBy, Slurm, testing::Values("srun", "mpirun"), [](const auto& info) { return info.param; });

}  // namespace
}  // namespace basin
