#include "trainer/sweep/run_all.h"

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <thread>

#include "base/clock.h"
#include "base/error.h"
#include "base/files.h"
#include "comm/factory.h"
#include "trainer/run_lock.h"
#include "trainer/sweep/child.h"

namespace basin::trainer {
namespace {

using Stage = RunState::Stage;
constexpr std::chrono::milliseconds kPause{100};  // between two looks at the children

/// "{members}" in a launcher's words stands for the run's number of members.
std::string WithMembers(std::string word, int members) {
  constexpr std::string_view kPlace = "{members}";
  if (const size_t at = word.find(kPlace); at != std::string::npos) word.replace(at, kPlace.size(), std::to_string(members));
  return word;
}

struct Running {
  size_t run;
  double began;
  Child child;
};

class Runner {
 public:
  Runner(const SweepPlan& plan, const SweepOptions& options) : plan_(plan), options_(options), states_(plan.runs.size()) {
    for (size_t k = 0; k < plan_.runs.size(); ++k) {
      if (StageOf(FilesOf(options_.folder, plan_.runs[k])) != RunStage::kFinished) continue;
      states_[k].stage = Stage::kFinished;
      states_[k].here_before = true;
    }
  }

  SweepOutcome Run(const std::atomic<bool>& interrupted) {
    std::optional<double> asked;  // when the children were asked to stop
    while (true) {
      if (interrupted && !asked) {
        asked = clock_.Seconds();
        for (const Running& running : running_) running.child.AskToStop();
      }
      while (!asked && running_.size() < static_cast<size_t>(options_.jobs) && BeginNext()) {
      }
      if (running_.empty()) break;
      LookAtChildren(asked.has_value());
      if (asked && clock_.Seconds() - *asked > static_cast<double>(options_.patience.count())) {
        for (const Running& running : running_) running.child.Kill();
      }
      if (!running_.empty()) std::this_thread::sleep_for(kPause);
    }
    const bool complete = std::ranges::none_of(states_, [](const RunState& state) {
      return state.stage == Stage::kWaiting || state.stage == Stage::kStopped;
    });
    return {.runs = states_, .interrupted = !complete};
  }

 private:
  void Show(int changed) const {
    if (options_.show) options_.show(states_, changed);
  }

  /// False when none waits any more.
  bool BeginNext() {
    while (next_ < states_.size() && states_[next_].stage != Stage::kWaiting) ++next_;
    if (next_ == states_.size()) return false;
    const size_t k = next_++;
    const SweepRun& run = plan_.runs[k];
    const SweepFiles files = FilesOf(options_.folder, run);
    base::WriteFileAtomically(files.config, ToYaml(run.config));
    std::filesystem::create_directories(files.log.parent_path());
    std::vector<std::string> words;
    for (const std::string& word : options_.launcher) words.push_back(WithMembers(word, run.config.population.members));
    words.insert(words.end(), {options_.program.string(), "train", files.config.string(), "--run-dir", files.run_dir.string(), "--quiet"});
    // The run itself looks for checkpoints, once its folder is its own: one that is being stopped may still write its last.
    if (StageOf(files) == RunStage::kStarted) words.emplace_back("--resume-or-begin");
    running_.push_back({k, clock_.Seconds(), Child(std::move(words), files.log)});
    states_[k].stage = Stage::kRunning;
    Show(static_cast<int>(k));
    return true;
  }

  void LookAtChildren(bool stopping) {
    for (size_t i = 0; i < running_.size();) {
      Running& running = running_[i];
      RunState& state = states_[running.run];
      const SweepFiles files = FilesOf(options_.folder, plan_.runs[running.run]);
      state.seconds = clock_.Seconds() - running.began;
      const std::optional<int> exit_code = running.child.Poll();
      if (!exit_code) {
        state.position = PositionOf(files);
        ++i;
        continue;
      }
      End(state, files, *exit_code, stopping);
      const int run = static_cast<int>(running.run);
      running_.erase(running_.begin() + static_cast<std::ptrdiff_t>(i));
      Show(run);
    }
    Show(-1);
  }

  static void End(RunState& state, const SweepFiles& files, int exit_code, bool stopping) {
    state.exit_code = exit_code;
    if (exit_code == 0 && StageOf(files) == RunStage::kFinished) {
      state.stage = Stage::kFinished;
    } else if (stopping) {
      state.stage = Stage::kStopped;
    } else {
      state.stage = Stage::kFailed;
      state.message = LastWords(files);
      if (exit_code == 0) state.exit_code = 1;  // ended well without a result: our own bug
    }
  }

  const SweepPlan& plan_;
  const SweepOptions& options_;
  const base::SystemClock clock_;
  std::vector<RunState> states_;
  std::vector<Running> running_;
  size_t next_ = 0;
};

}  // namespace

int SweepOutcome::ExitCode() const {
  if (interrupted) return 130;
  int worst = 0;
  for (const RunState& run : runs) {
    if (run.stage == Stage::kFailed) worst = std::max(worst, run.exit_code > 128 ? 1 : run.exit_code);
  }
  return worst;
}

SweepOutcome RunAll(const SweepPlan& plan, const SweepOptions& options, const std::atomic<bool>& interrupted) {
  const comm::LaunchInfo launch = comm::ReadLaunchInfo([](const char* name) { return std::getenv(name); });
  if (launch.launcher != "none")
    throw ConfigError("basin sweep starts its runs itself; call it without mpirun or srun (--launcher puts them before each run)");
  std::error_code failure;
  std::filesystem::create_directories(options.folder, failure);
  if (failure) throw DataError(Text(options.folder.string(), ": the folder of the sweep cannot be made: ", failure.message()));
  const RunLock lock(options.folder);
  RefuseOtherConfigurations(options.folder, plan);
  return Runner(plan, options).Run(interrupted);
}

}  // namespace basin::trainer
