// Members on two hosts: over a slow network, and over one that fails in the middle of a run, longer than silence is permitted.
#include <gtest/gtest.h>

#include "base/files.h"
#include "base/json.h"
#include "tests/support/command.h"

namespace basin {
namespace {

class TwoHosts : public testing::Test {
 protected:
  /// A run of `steps` with heartbeats of half a second, until mpirun ends.
  test::CommandResult Run(const std::string& cable, const std::string& on_loss, int steps) const {
    const std::string program = test::Program("basin");
    const std::string here = std::string(BASIN_SOURCE_DIR);
    std::vector<std::string> words{here + "/tests/e2e/two_hosts.sh", std::filesystem::path(program).parent_path().string(),
                                   here + "/configs/smoke.yaml", folder_.path().string(), cable, on_loss};
    for (const std::string& set : {"train.steps=" + std::to_string(steps), std::string("coordinator.heartbeat_s=0.5"),
                                   std::string("coordinator.timeout_s=3")}) {
      words.insert(words.end(), {"--set", set});
    }
    return test::RunCommand(words, {.deadline_s = 90});
  }
  std::filesystem::path Result() const { return folder_.path() / "run/result.json"; }

  base::TemporaryFolder folder_;
};

TEST_F(TwoHosts, OverASlowNetworkTrainToTheSameBitsAsThreads) {
  const test::CommandResult result = Run("slow", "abort", 30);
  if (result.exit_code == 77) GTEST_SKIP() << result.out;
  EXPECT_NE(result.out.find("exit 0"), std::string::npos) << result.out << result.err;
  // Each of 30 exchanges takes one of the two at least 5 ms, the time of a message on the cable.
  EXPECT_GE(base::ReadJson(Result()).at("seconds").at("exchange"), 30 * 0.005 / 2);
  const std::string threads = (folder_.path() / "threads").string();
  const test::CommandResult alone = test::RunCommand({test::Program("basin"), "train", std::string(BASIN_SOURCE_DIR) + "/configs/smoke.yaml", "--quiet",
                                                      "--run-dir", threads, "--set", "train.steps=30", "--set", "population.members=2"});
  ASSERT_EQ(alone.exit_code, 0) << alone.err;
  EXPECT_EQ(base::ReadJson(Result()).at("member"), base::ReadJson(threads + "/result.json").at("member"));
}

TEST_F(TwoHosts, WithoutANetworkBetweenThemEndWith4AndNoResult) {
  const test::CommandResult result = Run("pull", "abort", 1'000'000);
  if (result.exit_code == 77) GTEST_SKIP() << result.out;
  EXPECT_NE(result.out.find("exit 4"), std::string::npos) << result.out << result.err;
  EXPECT_NE(result.err.find("member 1"), std::string::npos) << result.err;
  EXPECT_NE(result.err.find("was silent for"), std::string::npos) << result.err;
  EXPECT_FALSE(std::filesystem::exists(Result()));
}

TEST_F(TwoHosts, WhereLossesArePermittedTheSideOfTheCoordinatorFinishesAndTheOtherWritesNothing) {
  const test::CommandResult result = Run("pull", "continue", 2000);
  if (result.exit_code == 77) GTEST_SKIP() << result.out;
  EXPECT_NE(result.out.find("exit 0"), std::string::npos) << result.out << result.err;
  const base::Json written = base::ReadJson(Result());
  ASSERT_EQ(written.at("member").size(), 1u);
  EXPECT_EQ(written.at("member")[0].at("id"), 0);
  EXPECT_EQ(written.at("lost")[0].at("member"), 1);
  EXPECT_FALSE(std::filesystem::exists(folder_.path() / "run/members/001.safetensors"));
}

}  // namespace
}  // namespace basin
