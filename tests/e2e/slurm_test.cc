// The job script of launch/ under a real Slurm of one node.
#include <gtest/gtest.h>

#include "base/files.h"
#include "base/json.h"
#include "tests/support/command.h"

namespace basin {
namespace {

class Slurm : public testing::TestWithParam<std::string> {};

TEST_P(Slurm, RunsTheJobScriptToTheSameBitsAsThreads) {
  const base::TemporaryFolder folder;
  const std::string here = BASIN_SOURCE_DIR, config = here + "/configs/smoke.yaml", run = (folder.path() / "run").string();
  const std::string threads = (folder.path() / "threads").string();
  const test::CommandResult job = test::RunCommand({here + "/tests/e2e/slurm.sh", test::Program("basin"), folder.path().string(), GetParam(), config,
                                                    "--run-dir", run, "--set", "train.steps=20", "--set", "lmc.pairs=none"},
                                                   {.deadline_s = 240});
  if (job.exit_code == 77) GTEST_SKIP() << job.out;
  ASSERT_NE(job.out.find("exit 0"), std::string::npos) << job.out << job.err;
  const test::CommandResult alone = test::RunCommand(
      {test::Program("basin"), "train", config, "--quiet", "--run-dir", threads, "--set", "train.steps=20", "--set", "lmc.pairs=none"}, {.deadline_s = 120});
  ASSERT_EQ(alone.exit_code, 0) << alone.err;
  const auto members = [](const std::string& dir) { return base::ReadJson(dir + "/result.json").at("member"); };
  EXPECT_EQ(members(run), members(threads));
}

INSTANTIATE_TEST_SUITE_P(StartedBy, Slurm, testing::Values("srun", "mpirun"), [](const auto& info) { return info.param; });

}  // namespace
}  // namespace basin
