// The table of subcommands. Each file adds one: its arguments, its help, and what it does.
#pragma once

#include <CLI/CLI.hpp>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "trainer/laboratory/align.h"

namespace basin::launch {

/// What the chosen subcommand does; returns the exit code.
using Action = std::function<int()>;

/// Options that every command takes.
struct CommonOptions {
  std::vector<std::string> set{};  ///< KEY=VALUE
  std::string log_level = "info";
  bool json = false;               ///< machine-readable result on standard output
  bool quiet = false;
};
/// Adds --set, --log-level, --json, --quiet to a command. The options live as long as the pointer.
std::shared_ptr<CommonOptions> AddCommonOptions(CLI::App& command);

/// Adds --align, --seed, --starts and --symmetry. The options live as long as the pointer. `for_pairs`: only methods that align pairs;
/// `standard`: the method when none is given.
std::shared_ptr<trainer::AlignOptions> AddAlignOptions(CLI::App& command, bool for_pairs, const std::string& standard);

void AddTrain(CLI::App& app, Action& action);
void AddCheck(CLI::App& app, Action& action);
void AddEval(CLI::App& app, Action& action);
void AddMerge(CLI::App& app, Action& action);
void AddMatch(CLI::App& app, Action& action);
void AddLmc(CLI::App& app, Action& action);
void AddAnalyze(CLI::App& app, Action& action);
void AddPlan(CLI::App& app, Action& action);
void AddPrune(CLI::App& app, Action& action);
void AddExport(CLI::App& app, Action& action);
void AddInspect(CLI::App& app, Action& action);
void AddReport(CLI::App& app, Action& action);
void AddStatus(CLI::App& app, Action& action);
void AddSweep(CLI::App& app, Action& action);

}  // namespace basin::launch
