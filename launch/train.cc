// basin train
#include <algorithm>
#include <iostream>
#include <optional>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "launch/commands.h"
#include "launch/interrupt.h"
#include "launch/results.h"
#include "launch/terminal.h"
#include "report/progress.h"
#include "report/run_page.h"
#include "trainer/run.h"

namespace basin::launch {
namespace {

struct TrainArguments {
  std::string config, run_dir;
  bool resume = false, may_begin = false;
};

constexpr const char* kAbout =
    "Train a population: N members that exchange weights by the configured strategy; then measure the members, their\n"
    "ensemble, their average and the straight lines between them.\n\n"
    "Alone, the members are threads of this process; under mpirun -n R each process trains one of R members, or several of more.\n"
    "The weights are the same bits either way. Results go to the run directory (result.json, members/, average.safetensors, report.html, ...).\n\n"
    "  basin train configs/quickstart.yaml\n"
    "  mpirun -n 4 basin train configs/quickstart.yaml --set strategy.p=0.01 --run-dir runs/p01";

bool ShowProgress(const trainer::RunConfig& config, bool quiet) {
  using Progress = trainer::ReportOptions::Progress;
  return !quiet && config.report.progress != Progress::kOff;
}

std::vector<report::MemberProgress> PopulationOf(const coordinator::Status& status) {
  std::vector<report::MemberProgress> population;
  for (const coordinator::MemberStatus& member : status.members) {
    population.push_back({.id = member.id,
                          .step = member.step,
                          .doing = member.operation.empty() || member.state == "lost" || member.state == "left" ? member.state : member.operation,
                          .steps_per_second = member.steps_per_second,
                          .silent_s = member.silent_s,
                          .is_waited_for = std::ranges::find(status.waiting_for, member.id) != status.waiting_for.end()});
  }
  return population;
}

/// Writes the run's page and says where; empty when that failed. Without the page the results are whole, so the run has not failed.
std::string WriteReport(const std::filesystem::path& run_dir) {
  const std::filesystem::path page = run_dir / "report.html";
  try {
    report::WriteRunPage(run_dir, page);
    return "report: " + page.string();
  } catch (const DataError& failure) {
    base::LogWarning(Text("there is no report.html: ", failure.what(), "; basin report ", run_dir.string(),
                          " --out FILE.html makes it anew"));
    return {};
  }
}

int Train(const TrainArguments& arguments, const CommonOptions& common) {
  const base::SystemClock clock;
  std::unique_ptr<report::Progress> progress;
  int64_t members = 1;
  bool html = false;  // of a run that is finished already, the page is there
  trainer::RunRequest request{.config_file = arguments.config, .overrides = common.set, .resume = arguments.resume || arguments.may_begin,
                              .may_begin = arguments.may_begin};
  const std::optional<Terminal> terminal = FindTerminal();
  request.watches = terminal.has_value();
  if (!arguments.run_dir.empty()) request.run_dir = arguments.run_dir;
  request.announce = [&](const trainer::RunConfig& config, const std::string& backend) {
    html = config.report.html;
    if (!ShowProgress(config, common.quiet)) return;
    std::cerr << AnnounceText(config, backend) << '\n';
    progress = std::make_unique<report::Progress>(
        std::cerr, clock,
        report::ProgressOptions{
            .is_terminal = terminal.has_value(), .rows = terminal.value_or(Terminal{}).rows, .columns = terminal.value_or(Terminal{}).columns});
    members = config.population.members;
  };
  request.show = [&](const trainer::LoopStatus& status) {
    if (!progress) return;
    progress->Update({.step = status.step, .total_steps = status.total_steps, .epoch = status.epoch,
                      .loss = status.loss, .bytes_sent = status.bytes_sent, .members = members,
                      .population = status.population ? PopulationOf(*status.population) : std::vector<report::MemberProgress>{}});
    if (status.step == status.total_steps) {
      progress->Finish();
      std::cerr << "measuring members, ensemble, average and connectivity ..." << std::endl;
    }
  };
  request.report = [&](const trainer::RunOutcome& outcome) {
    if (outcome.already_finished) std::cerr << outcome.run_dir.string() << ": this run is finished\n";
    const std::string report = html ? WriteReport(outcome.run_dir) : "";
    if (common.json) {
      std::cout << outcome.result.dump(2) << std::endl;
    } else if (!common.quiet) {
      std::cout << ResultText(outcome.result) << "\nrun directory: " << outcome.run_dir.string() << std::endl;
      if (!report.empty()) std::cout << report << std::endl;
    }
  };
  return trainer::TrainPopulation(request, WatchInterrupts());
}

}  // namespace

void AddTrain(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("train", "train a population, average it, measure its connectivity");
  command->description(kAbout);
  auto arguments = std::make_shared<TrainArguments>();
  const auto common = AddCommonOptions(*command);
  command->add_option("CONFIG.yaml", arguments->config, "the configuration; configs/reference.yaml explains every key")->required();
  command->add_option("--run-dir", arguments->run_dir, "where the results go, instead of run.dir")->type_name("DIR");
  command->add_flag("--resume-or-begin", arguments->may_begin, "as --resume, but without a checkpoint begin (a sweep's runs)")->group("");
  command->add_flag("--resume", arguments->resume, "go on with the run in the run directory from its newest checkpoint, to the same bits");
  command->callback([=, &action] { action = [=] { return Train(*arguments, *common); }; });
}

}  // namespace basin::launch
