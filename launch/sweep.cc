// basin sweep
#include <algorithm>
#include <iostream>
#include <iterator>
#include <optional>
#include <sstream>
#include <thread>

#include "base/error.h"
#include "launch/commands.h"
#include "launch/interrupt.h"
#include "launch/sweep_result.h"
#include "launch/terminal.h"
#include "report/live_lines.h"
#include "report/progress.h"
#include "trainer/sweep/budgets.h"
#include "trainer/sweep/child.h"
#include "trainer/sweep/run_all.h"

namespace basin::launch {
namespace {

using trainer::RunState;
using trainer::SweepPlan;
using Stage = RunState::Stage;

struct SweepArguments {
  std::string file, out, launcher;
  int jobs = 0;  // 0: as many as the cores hold
  bool markdown = false, csv = false, dry_run = false;
};

constexpr const char* kAbout =
    "Train a grid of runs: strategies x budgets x seeds x any key; then one table, tests between strategies at equal bytes, and the\n"
    "Pareto front of accuracy against bytes. docs/sweep.md explains the file.\n\n"
    "Each run is a process of its own in DIR/runs/. What has finished stays; what was interrupted goes on from its checkpoint when the\n"
    "same command is given again. Ctrl-C lets the running ones write a checkpoint. DIR/sweep.html, sweep.json and sweep.csv are\n"
    "kept up to date while it runs. Exit code: 0; 130 interrupted; else the largest of the runs'.\n\n"
    "  basin sweep configs/sweep-shapes.yaml --out runs/sweep-shapes";

/// Side by side without sharing cores: as many as the largest run leaves room for.
int JobsFor(const SweepPlan& plan) {
  int threads = 1;
  for (const trainer::SweepRun& run : plan.runs)
    threads = std::max(threads, run.config.population.members * run.config.population.threads_per_member);
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()) / threads);
}

std::vector<std::string> Words(const std::string& text) {
  std::istringstream stream(text);
  return {std::istream_iterator<std::string>(stream), {}};
}

/// "step 350/1000  loss 0.41", or epochs where the length is given in them.
std::string PositionText(const trainer::RunConfig& config, const trainer::RunPosition& position) {
  if (!position.known) return "starting";
  const trainer::TrainOptions& train = config.train;
  if (train.steps && position.step + 1 >= *train.steps) return "measuring";
  const std::string at = train.steps ? Text("step ", position.step + 1, "/", *train.steps)
                                     : Text("epoch ", position.epoch + 1, "/", train.epochs.value_or(10), ", step ", position.step + 1);
  return at + "  loss " + report::FormatNumber(position.loss, 3);
}

/// What a person sees while it runs: finished runs as lines that stay, running ones in a block below.
class View {
 public:
  View(const SweepPlan& plan, const std::filesystem::path& folder, int jobs, const std::optional<Terminal>& terminal)
      : plan_(plan),
        folder_(folder),
        jobs_(jobs),
        most_lines_(terminal ? terminal->rows - 2 : 0),
        lines_(std::cerr, terminal ? terminal->columns : 0) {}

  void Show(const std::vector<RunState>& states, int changed) {
    if (changed >= 0) ShowChange(states, static_cast<size_t>(changed));
    std::vector<std::string> block;
    for (size_t k = 0; k < states.size(); ++k) {
      if (states[k].stage != Stage::kRunning || std::ssize(block) + 1 >= most_lines_)
        continue;  // a block taller than the screen cannot be redrawn
      block.push_back(Text("  ", plan_.runs[k].name, "  ", PositionText(plan_.runs[k].config, states[k].position), "  ",
                           report::FormatDuration(states[k].seconds)));
    }
    block.push_back(Overview(states));
    lines_.Show(std::move(block));
  }

 private:
  void ShowChange(const std::vector<RunState>& states, size_t k) {
    const RunState& state = states[k];
    if (state.stage == Stage::kRunning) return;
    const auto done = static_cast<size_t>(
        std::ranges::count_if(states, [](const RunState& s) { return s.stage == Stage::kFinished || s.stage == Stage::kFailed; }));
    std::string line = Text("[", done, "/", states.size(), "] ", plan_.runs[k].name, "  ");
    if (state.stage == Stage::kFinished) {
      const base::Json result = base::ReadJson(trainer::FilesOf(folder_, plan_.runs[k]).run_dir / "result.json");
      line += Text("average ", report::FormatPercent(result["average"]["test_accuracy"].get<double>(), 2), ", sent ",
                   report::FormatBytes(result["bytes"]["payload_per_rank"].get<int64_t>()), " a rank");
    } else if (state.stage == Stage::kFailed) {
      line += Text("FAILED, exit code ", state.exit_code, ": ", state.message);
    } else {
      line += "stopped";
    }
    lines_.Print(line + "  " + report::FormatDuration(state.seconds));
  }

  std::string Overview(const std::vector<RunState>& states) const {
    double seconds = 0;
    int64_t timed = 0, left = 0, done = 0;
    for (const RunState& state : states) {
      if (state.stage == Stage::kWaiting || state.stage == Stage::kRunning) ++left;
      if (state.stage != Stage::kFinished) continue;
      ++done;
      if (state.here_before) continue;
      ++timed;
      seconds += state.seconds;
    }
    std::string text = Text("  ", done, " of ", states.size(), " runs done");
    if (timed > 0)
      text += Text(", about ", report::FormatDuration(seconds / static_cast<double>(timed) * static_cast<double>(left) / jobs_), " left");
    return text;
  }

  const SweepPlan& plan_;
  const std::filesystem::path& folder_;
  int jobs_, most_lines_;
  report::LiveLines lines_;
};

void PrintPlan(const SweepPlan& plan, const std::filesystem::path& folder, bool json) {
  base::Json runs = base::Json::array();
  for (const trainer::SweepRun& run : plan.runs) {
    const bool finished = trainer::StageOf(trainer::FilesOf(folder, run)) == trainer::RunStage::kFinished;
    runs.push_back({{"name", run.name}, {"seed", run.config.seed}, {"finished", finished}});
    if (!json) std::cout << run.name << (finished ? "  finished" : "") << '\n';
  }
  if (json) std::cout << base::Json{{"settings", plan.cells.size()}, {"runs", runs}}.dump(2) << '\n';
  std::cerr << plan.runs.size() << " runs of " << plan.cells.size() << " settings" << std::endl;
}

SweepFormat FormatOf(const SweepArguments& arguments, const CommonOptions& common) {
  if (common.json) return SweepFormat::kJson;
  if (arguments.csv) return SweepFormat::kCsv;
  return arguments.markdown ? SweepFormat::kMarkdown : SweepFormat::kText;
}

int Sweep(const SweepArguments& arguments, const CommonOptions& common) {
  const std::atomic<bool>& interrupted = WatchInterrupts();
  const SweepPlan plan = trainer::ReadSweep(arguments.file, common.set);
  trainer::CheckBudgets(plan);
  const std::filesystem::path folder = arguments.out.empty() ? "runs/" + plan.name : arguments.out;
  if (arguments.dry_run) {
    PrintPlan(plan, folder, common.json);
    return 0;
  }
  const int jobs = arguments.jobs > 0 ? arguments.jobs : JobsFor(plan);
  std::optional<View> view;
  if (!common.quiet) {
    std::cerr << Text(plan.runs.size(), " runs of ", plan.cells.size(), " settings, ", jobs, " at a time, in ", folder.string())
              << std::endl;
    view.emplace(plan, folder, jobs, FindTerminal());
  }
  trainer::SweepOptions options{.folder = folder, .jobs = jobs, .launcher = Words(arguments.launcher), .program = trainer::ThisProgram()};
  options.show = [&](const std::vector<RunState>& states, int changed) {
    if (view) view->Show(states, changed);
    if (changed >= 0 && states[static_cast<size_t>(changed)].stage == Stage::kFinished)
      WriteSweepResult(ReadSweepResult(plan, folder, states), folder);
  };
  const trainer::SweepOutcome outcome = RunAll(plan, options, interrupted);
  view.reset();
  const SweepResult result = ReadSweepResult(plan, folder, outcome.runs);
  WriteSweepResult(result, folder);
  if (common.json || !common.quiet) std::cout << SweepResultText(result, FormatOf(arguments, common)) << std::flush;
  std::cerr << result.state << "; page: " << (folder / "sweep.html").string()
            << (outcome.interrupted ? "; give the same command again to go on" : "") << std::endl;
  return outcome.ExitCode();
}

}  // namespace

void AddSweep(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("sweep", "train a grid of runs and compare them");
  command->description(kAbout);
  auto arguments = std::make_shared<SweepArguments>();
  const auto common = AddCommonOptions(*command);
  command->add_option("SWEEP.yaml", arguments->file, "base, grid, seeds, budgets, controls; docs/sweep.md explains them")->required();
  command->add_option("--out", arguments->out, "the sweep's folder (default runs/<name of the sweep>)")->type_name("DIR");
  command->add_option("--jobs", arguments->jobs, "runs side by side (default: as many as the cores hold, a core a member)")
      ->check(CLI::Range(1, 4096));
  command->add_option("--launcher", arguments->launcher,
                      "words before each run's command, {members} in them stands for the number of members,\n"
                      "e.g. 'mpirun --oversubscribe -n {members}' (default: members are threads of one process)")
      ->type_name("WORDS");
  command->add_flag("--markdown", arguments->markdown, "Markdown tables");
  command->add_flag("--csv", arguments->csv, "the table as CSV");
  command->add_flag("--dry-run", arguments->dry_run, "list the runs, check their configurations, train nothing");
  command->callback([=, &action] { action = [=] { return Sweep(*arguments, *common); }; });
}

}  // namespace basin::launch
