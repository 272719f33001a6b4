#include "trainer/run_lock.h"

#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include <optional>

#include "base/error.h"
#include "base/files.h"
#include "base/json.h"
#include "tests/support/message_of.h"

namespace basin::trainer {
namespace {

using ::testing::HasSubstr;

class RunLockTest : public ::testing::Test {
 protected:
  std::filesystem::path File() const { return folder_.path() / "run.lock"; }
  void Leave(const std::string& host, int64_t process) const {
    base::WriteJson(File(), {{"host", host}, {"process", process}});
  }
  std::string ThisHost() const {
    const RunLock lock(folder_.path());
    return base::ReadJson(File())["host"];
  }
  static int64_t ProcessThatHasEnded() {
    const pid_t child = fork();
    if (child == 0) _exit(0);
    waitpid(child, nullptr, 0);
    return child;
  }
  base::TemporaryFolder folder_;
};

TEST_F(RunLockTest, NamesItsHolderAndGoesWithIt) {
  {
    const RunLock lock(folder_.path());
    EXPECT_EQ(base::ReadJson(File())["process"], getpid());
  }
  EXPECT_FALSE(std::filesystem::exists(File()));
}

TEST_F(RunLockTest, OfASecondRunIsRefusedWithTheNameOfTheFirst) {
  const RunLock first(folder_.path());
  const std::string text = test::MessageOf<ConfigError>([&] { RunLock second(folder_.path(), std::chrono::milliseconds(0)); });
  EXPECT_THAT(text, HasSubstr("is in use by process " + std::to_string(getpid())));
  EXPECT_NO_THROW(first.CheckStillThere());
}

TEST_F(RunLockTest, OfAProcessThatHasEndedIsTakenOver) {
  Leave(ThisHost(), ProcessThatHasEnded());
  const RunLock lock(folder_.path());
  EXPECT_EQ(base::ReadJson(File())["process"], getpid());
}

TEST_F(RunLockTest, ThatWasCutShortIsTakenOver) {
  base::WriteFileAtomically(File(), "{\"host\": \"th");
  const RunLock lock(folder_.path());
  EXPECT_EQ(base::ReadJson(File())["process"], getpid());
}

TEST_F(RunLockTest, OfAnotherContainerOfThisMachineThatHasEndedIsTakenOver) {
  std::string boot;
  {
    const RunLock lock(folder_.path());
    boot = base::ReadJson(File())["boot"];
  }
  if (boot.empty()) GTEST_SKIP() << "this system has no /proc/sys/kernel/random/boot_id";
  base::WriteJson(File(), {{"host", "another-container"}, {"process", 7}, {"boot", boot}});
  const RunLock lock(folder_.path());
  EXPECT_EQ(base::ReadJson(File())["process"], getpid());
}

TEST_F(RunLockTest, OfAnotherHostIsRefusedAndLeftAlone) {
  Leave("another-host", 7);
  const std::string text = test::MessageOf<ConfigError>([&] { RunLock lock(folder_.path()); });
  EXPECT_THAT(text, HasSubstr("process 7 on another-host"));
  EXPECT_THAT(text, HasSubstr("remove " + File().string()));
  EXPECT_EQ(base::ReadJson(File())["process"], 7);
}

TEST_F(RunLockTest, TellsWhenTheRunDirectoryIsGone) {
  const auto inner = folder_.path() / "run";
  std::filesystem::create_directory(inner);
  const RunLock lock(inner);
  std::filesystem::remove_all(inner);
  EXPECT_THAT(test::MessageOf<DataError>([&] { lock.CheckStillThere(); }), HasSubstr("removed"));
  std::filesystem::create_directory(inner);
  const RunLock next(inner);
  EXPECT_THROW(lock.CheckStillThere(), DataError);
}

TEST_F(RunLockTest, InAFolderThatDoesNotExistIsADataError) {
  EXPECT_THAT(test::MessageOf<DataError>([&] { RunLock lock(folder_.path() / "none"); }), HasSubstr("run.lock"));
}

}  // namespace
}  // namespace basin::trainer
