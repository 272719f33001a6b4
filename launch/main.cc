// The entry point: parse, dispatch, map failures to exit codes.
#include <algorithm>
#include <iostream>

#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/nearest.h"
#include "launch/commands.h"
#include "launch/version.h"
#include "trainer/run.h"

namespace basin::launch {
namespace {

constexpr const char* kAbout =
    "Basin trains N networks side by side, lets them exchange weights while they train, and averages\n"
    "them into one model that is about as good as their ensemble.\n\n"
    "First run:   launch/quickstart.sh\n"
    "On a laptop: basin train configs/quickstart.yaml              (members are threads)\n"
    "With MPI:    mpirun -n 4 basin train configs/quickstart.yaml  (one member a process)\n\n"
    "Exit codes: 0 done, 1 our bug, 2 configuration or usage, 3 data, 4 a peer was lost, 130 interrupted.";

/// CLI11 only says that a subcommand is required.
void RefuseUnknownCommand(const CLI::App& app, const std::string& word) {
  if (word.starts_with('-')) return;
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands({})) names.push_back(command->get_name());
  if (std::find(names.begin(), names.end(), word) != names.end()) return;
  const std::string nearest = base::NearestName(word, names);
  throw ConfigError(Text("'", word, "' is not a command", nearest.empty() ? "" : " (did you mean '" + nearest + "'?)",
                         "; allowed: ", base::JoinNames(names), ". basin --help explains them"));
}

int Dispatch(int argc, char** argv) {
  CLI::App app(kAbout, "basin");
  app.require_subcommand(1);
  app.set_version_flag("--version", VersionText);
  Action action;
  for (const auto add : {AddTrain, AddCheck, AddPlan, AddSweep, AddEval, AddMerge, AddMatch, AddLmc, AddAnalyze, AddPrune, AddInspect,
                         AddExport, AddReport, AddStatus}) {
    add(app, action);
  }
  if (argc > 1) RefuseUnknownCommand(app, argv[1]);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& usage) {
    return app.exit(usage) == 0 ? 0 : 2;
  }
  return action();
}

}  // namespace
}  // namespace basin::launch

int main(int argc, char** argv) {
  basin::base::KeepFreedMemory();
  try {
    return basin::launch::Dispatch(argc, argv);
  } catch (const std::exception& failure) {
    std::cerr << basin::trainer::Describe(failure) << std::endl;
    return basin::trainer::ExitCode(failure);
  }
}
