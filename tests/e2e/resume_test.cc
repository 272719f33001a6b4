// Runs of the real program that are killed or interrupted, and go on with --resume to what an unbroken run gives.
#include <gmock/gmock.h>
#include <sys/mount.h>
#include <unistd.h>

#include <csignal>
#include <map>
#include <sstream>

#include "base/files.h"
#include "base/json.h"
#include "tests/support/command.h"

namespace basin {
namespace {

namespace fs = std::filesystem;
using base::Json;
using test::CommandResult;
using test::Program;
using ::testing::HasSubstr;

class Resumed : public testing::Test {
 protected:
  std::string Dir(const std::string& run) const { return (folder_.path() / run).string(); }
  std::vector<std::string> Words(const std::string& dir, const std::vector<std::string>& set) const {
    std::vector<std::string> words{Program("basin"), "train", std::string(BASIN_SOURCE_DIR) + "/configs/smoke.yaml", "--quiet",
                                   "--run-dir", dir, "--set", "train.steps=60", "--set", "lmc.points=2"};
    for (const auto& entry : set) words.insert(words.end(), {"--set", entry});
    return words;
  }
  static std::vector<std::string> Resuming(std::vector<std::string> words) {
    words.push_back("--resume");
    return words;
  }
  static CommandResult Run(const std::vector<std::string>& words, int ranks = 0) {
    return ranks == 0 ? test::RunCommand(words) : test::RunUnderMpi(ranks, words);
  }
  /// Starts `words`, waits until member 0 has written its record of `step`, sends the signal to the program itself (to the last rank
  /// under mpirun; SIGKILL to all of it), and returns the program's exit code.
  CommandResult RunUntil(int step, int signal, const std::string& dir, const std::vector<std::string>& words, int ranks = 0) const {
    std::string line, launcher = "mpirun --allow-run-as-root --oversubscribe --bind-to none -n " + std::to_string(ranks) + " ";
    for (const auto& word : words) line += "'" + word + "' ";
    const std::string programs = "$(pgrep -f '^[^ ]*bin/basin train.*" + dir + "'" + (signal == SIGKILL ? "" : " | tail -n 1") + ")";
    const std::string script = "set -m; " + (ranks > 0 ? launcher : "") + line + "& job=$!; until grep -q '\"step\":" +
                               std::to_string(step) + ",' '" + dir + "/metrics.jsonl' 2>/dev/null; do kill -0 $job || break; done; kill -" +
                               std::to_string(signal) + " " + programs + "; wait $job";
    return test::RunCommand({"bash", "-c", script});
  }
  /// Records of each member in their order, without times.
  static std::map<int, std::vector<Json>> Records(const std::string& dir) {
    std::map<int, std::vector<Json>> records;
    std::istringstream text(base::ReadFile(dir + "/metrics.jsonl"));
    for (std::string line; std::getline(text, line);) {
      Json record = Json::parse(line);
      for (const char* time : {"time", "seconds"}) record.erase(time);
      records[record["member"].get<int>()].push_back(std::move(record));
    }
    return records;
  }
  static Json Result(const std::string& dir) {
    Json result = base::ReadJson(dir + "/result.json");
    result.erase("seconds");
    return result;
  }
  static void ExpectSameRun(const std::string& a, const std::string& b) {
    EXPECT_EQ(Result(a).dump(1), Result(b).dump(1));
    EXPECT_EQ(Records(a), Records(b));
    EXPECT_EQ(base::ReadFile(a + "/members/001.safetensors"), base::ReadFile(b + "/members/001.safetensors"));
    EXPECT_FALSE(fs::exists(b + "/run.lock"));
  }

  base::TemporaryFolder folder_;
};

struct Case {
  std::string name;
  std::vector<std::string> set;
  int ranks = 0;  // 0: threads
};

class EveryRun : public Resumed, public testing::WithParamInterface<Case> {};

TEST_P(EveryRun, EndsAsIfNeverKilled) {
  const auto& [name, set, ranks] = GetParam();
  auto saving = set;
  saving.push_back("checkpoint.every_steps=7");
  const CommandResult whole = Run(Words(Dir("whole"), set), ranks);
  ASSERT_EQ(whole.exit_code, 0) << whole.err;
  RunUntil(9, SIGKILL, Dir("parts"), Words(Dir("parts"), saving), ranks);
  RunUntil(24, SIGKILL, Dir("parts"), Resuming(Words(Dir("parts"), saving)), ranks);
  ASSERT_FALSE(fs::exists(Dir("parts") + "/result.json"));
  const CommandResult last = Run(Resuming(Words(Dir("parts"), saving)), ranks);
  ASSERT_EQ(last.exit_code, 0) << last.err;
  EXPECT_THAT(last.err, HasSubstr("going on from"));
  ExpectSameRun(Dir("whole"), Dir("parts"));
}

TEST_P(EveryRun, EndsAsIfNeverInterrupted) {
  const int ranks = GetParam().ranks;
  auto set = GetParam().set;
  set.push_back("train.steps=200");  // records reach the file every half second; the run must last longer than that
  ASSERT_EQ(Run(Words(Dir("whole"), set), ranks).exit_code, 0);
  const CommandResult first = RunUntil(5, SIGTERM, Dir("parts"), Words(Dir("parts"), set), ranks);
  ASSERT_EQ(first.exit_code, 130) << first.err;
  EXPECT_THAT(first.err, HasSubstr("interrupted after step"));
  EXPECT_THAT(first.err, HasSubstr("--resume"));
  const CommandResult last = Run(Resuming(Words(Dir("parts"), set)), ranks);
  ASSERT_EQ(last.exit_code, 0) << last.err;
  ExpectSameRun(Dir("whole"), Dir("parts"));
}

INSTANTIATE_TEST_SUITE_P(
    Of, EveryRun,
    testing::Values(Case{"wash_opt_adam", {"strategy={name: wash, p: 0.05, optimizer_state: true}", "train.optimizer={name: adam, lr: 0.002}"}},
                    Case{"diloco_mixup", {"strategy={name: diloco, every_steps: 4}", "data.augment=[flip, {mixup: {alpha: 0.5}}]"}},
                    Case{"papa", {"strategy={name: papa, every_steps: 3}"}},
                    Case{"wash_opt_mpi", {"strategy={name: wash, p: 0.05, optimizer_state: true}"}, 2},
                    Case{"wash_hybrid", {"strategy={name: wash, p: 0.05}", "population.members=3"}, 2},
                    Case{"diloco_mpi", {"strategy={name: diloco, every_steps: 4}"}, 2}),
    [](const auto& info) { return info.param.name; });

TEST_F(Resumed, ThreadsGoOnWhereProcessesStopped) {
  const std::vector<std::string> saving{"checkpoint.every_steps=6"};
  ASSERT_EQ(Run(Words(Dir("whole"), {})).exit_code, 0);
  RunUntil(20, SIGKILL, Dir("parts"), Words(Dir("parts"), saving), 2);
  ASSERT_EQ(Run(Resuming(Words(Dir("parts"), saving))).exit_code, 0);
  Json whole = Result(Dir("whole")), parts = Result(Dir("parts"));
  EXPECT_EQ(whole.dump(1), parts.dump(1));
}

TEST_F(Resumed, AtManyMomentsEndsTheSame) {
  const std::vector<std::string> saving{"checkpoint={every_steps: 2, keep: 2}", "lmc.pairs=none"};
  ASSERT_EQ(Run(Words(Dir("whole"), {"lmc.pairs=none"})).exit_code, 0);
  // Wall-clock moments, so that start-up, steps, exchanges, writing and the finish are all hit in turn.
  int kills = 0;
  CommandResult last;
  for (int tenths = 5; tenths < 40; tenths += 4) {
    const auto words = fs::exists(Dir("parts") + "/config.yaml") ? Resuming(Words(Dir("parts"), saving)) : Words(Dir("parts"), saving);
    last = test::RunCommand(words, {.deadline_s = tenths / 10.0});
    if (last.exit_code == 0) break;
    ASSERT_EQ(last.exit_code, 137) << last.err;
    ++kills;
  }
  if (last.exit_code != 0) last = Run(Resuming(Words(Dir("parts"), saving)));
  ASSERT_EQ(last.exit_code, 0) << last.err;
  EXPECT_GT(kills, 0);
  fs::remove(Dir("parts") + "/run.lock");  // of a kill that came after the result: nobody takes a finished run over
  ExpectSameRun(Dir("whole"), Dir("parts"));
}

TEST_F(Resumed, OfAFinishedRunSaysSo) {
  const std::vector<std::string> saving{"checkpoint={every_steps: 25, keep: 2}"};
  ASSERT_EQ(Run(Words(Dir("run"), saving)).exit_code, 0);
  EXPECT_TRUE(fs::exists(Dir("run") + "/checkpoints/step-00000050/manifest.json"));
  EXPECT_TRUE(fs::exists(Dir("run") + "/checkpoints/step-00000060/manifest.json"));
  EXPECT_FALSE(fs::exists(Dir("run") + "/checkpoints/step-00000025"));
  const CommandResult again = Run(Resuming(Words(Dir("run"), saving)));
  EXPECT_EQ(again.exit_code, 0);
  EXPECT_THAT(again.err, HasSubstr("finished"));
}

TEST_F(Resumed, RefusesOtherKeysAndFoldersWithoutARun) {
  ASSERT_EQ(RunUntil(5, SIGTERM, Dir("run"), Words(Dir("run"), {"train.steps=1000"})).exit_code, 130);
  const CommandResult other = Run(Resuming(Words(Dir("run"), {"train.steps=1000", "train.optimizer.lr=0.5"})));
  EXPECT_EQ(other.exit_code, 2);
  EXPECT_THAT(other.err, HasSubstr("train.optimizer.lr: 0.1 in the checkpoint, 0.5 here"));
  const CommandResult processes = Run(Resuming(Words(Dir("run"), {"train.steps=1000", "run.seed=5"})), 2);
  EXPECT_EQ(processes.exit_code, 2);
  EXPECT_THAT(processes.err, HasSubstr("run.seed: 1 in the checkpoint, 5 here"));
  EXPECT_EQ(Run(Resuming(Words(Dir("none"), {}))).exit_code, 2);
}

TEST_F(Resumed, PassesOverADamagedCheckpointAndEndsWith3WhenNoneIsLeft) {
  const std::vector<std::string> saving{"checkpoint={every_steps: 5, keep: 2}"};
  ASSERT_EQ(Run(Words(Dir("run"), saving)).exit_code, 0);
  fs::remove(Dir("run") + "/result.json");  // as if killed in the finish
  fs::resize_file(Dir("run") + "/checkpoints/step-00000060/rank-001.safetensors", 100);
  const CommandResult older = Run(Resuming(Words(Dir("run"), saving)));
  EXPECT_EQ(older.exit_code, 0) << older.err;
  EXPECT_THAT(older.err, HasSubstr("step-00000060/rank-001.safetensors is damaged"));
  EXPECT_THAT(older.err, HasSubstr("step-00000055"));
  fs::remove(Dir("run") + "/result.json");
  for (const char* step : {"55", "60"}) fs::resize_file(Dir("run") + "/checkpoints/step-000000" + step + "/rank-000.json", 3);
  const CommandResult none = Run(Resuming(Words(Dir("run"), saving)));
  EXPECT_EQ(none.exit_code, 3);
  EXPECT_THAT(none.err, HasSubstr("none of the"));
}

TEST_F(Resumed, ASecondRunInTheSameDirectoryIsRefusedAndTheFirstGoesOn) {
  const std::string dir = Dir("run");
  std::string line;
  for (const auto& word : Words(dir, {})) line += "'" + word + "' ";
  // The first is held still while the second tries.
  const CommandResult both = test::RunCommand(
      {"bash", "-c", line + "& first=$!; until grep -q step '" + dir + "/metrics.jsonl' 2>/dev/null; do kill -0 $first || break; done; "
                            "kill -STOP $first; " + line + "; echo second $?; kill -CONT $first; wait $first; echo first $?"});
  EXPECT_THAT(both.out, HasSubstr("second 2"));
  EXPECT_THAT(both.out, HasSubstr("first 0"));
  EXPECT_THAT(both.err, HasSubstr("is in use by process"));
}

TEST_F(Resumed, ARunDirectoryThatIsRemovedEndsTheRunWith3) {
  const std::string dir = Dir("run");
  std::string line;
  for (const auto& word : Words(dir, {"train.steps=1000000"})) line += "'" + word + "' ";
  const CommandResult result = test::RunCommand(
      {"bash", "-c", line + "& job=$!; until grep -q step '" + dir + "/metrics.jsonl' 2>/dev/null; do kill -0 $job || break; done; "
                            "rm -r '" + dir + "'; wait $job"}, {.deadline_s = 60});
  EXPECT_EQ(result.exit_code, 3) << result.err;
  EXPECT_THAT(result.err, HasSubstr("removed"));
}

/// A small file system of its own; empty path where this user may not mount.
class SmallDisk {
 public:
  SmallDisk(const std::string& path, const std::string& options) : path_(path) {
    fs::create_directories(path_);
    mounted_ = geteuid() == 0 && mount("tmpfs", path_.c_str(), "tmpfs", 0, options.c_str()) == 0;
  }
  ~SmallDisk() {
    if (mounted_) umount2(path_.c_str(), MNT_DETACH);
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;
  bool mounted() const { return mounted_; }
  bool MakeReadOnly() const { return mount("tmpfs", path_.c_str(), "tmpfs", MS_REMOUNT | MS_RDONLY, nullptr) == 0; }

 private:
  std::string path_;
  bool mounted_ = false;
};

TEST_F(Resumed, AFullDiskEndsTheRunWith3AndTheEarlierCheckpointServes) {
  const SmallDisk disk(Dir("disk"), "size=2m");
  if (!disk.mounted()) GTEST_SKIP() << "a small file system cannot be mounted here (needs root)";
  const std::vector<std::string> saving{"checkpoint={every_steps: 5, keep: 100}", "report.tensorboard=false"};
  const CommandResult full = Run(Words(Dir("disk/run"), saving));
  EXPECT_EQ(full.exit_code, 3) << full.err;
  EXPECT_THAT(full.err, HasSubstr("No space left on device"));
  EXPECT_THAT(full.err, HasSubstr("--resume"));
  // With room again the run goes on from what is there.
  ASSERT_EQ(test::RunCommand({"cp", "-r", Dir("disk/run"), Dir("roomy")}).exit_code, 0);
  const CommandResult last = Run(Resuming(Words(Dir("roomy"), saving)));
  ASSERT_EQ(last.exit_code, 0) << last.err;
  ASSERT_EQ(Run(Words(Dir("whole"), {})).exit_code, 0);
  EXPECT_EQ(Result(Dir("roomy")), Result(Dir("whole")));
}

TEST_F(Resumed, AReadOnlyDirectoryEndsTheRunWith3) {
  const SmallDisk disk(Dir("disk"), "size=4m");
  if (!disk.mounted()) GTEST_SKIP() << "a small file system cannot be mounted here (needs root)";
  fs::create_directory(Dir("disk/run"));
  ASSERT_TRUE(disk.MakeReadOnly());
  for (const char* run : {"disk/run", "disk/new"}) {
    const CommandResult result = Run(Words(Dir(run), {}));
    EXPECT_EQ(result.exit_code, 3) << result.err;
    EXPECT_THAT(result.err, HasSubstr("Read-only file system"));
  }
}

}  // namespace
}  // namespace basin
