// basin prune
#include <iostream>

#include "base/error.h"
#include "launch/commands.h"
#include "launch/mending.h"
#include "launch/outputs.h"
#include "report/table.h"
#include "trainer/laboratory/pruning.h"

namespace basin::launch {
namespace {

struct PruneArguments {
  std::string config, model, out, scope = "global";
  double sparsity = 0;
};

std::string Text(const base::Json& report) {
  report::Table table({"test", "accuracy %", "loss"});
  for (const auto& [what, key] : {std::pair{"dense", "dense_test"}, {"pruned", "pruned_test"}, {"corrected", "test"}}) {
    char accuracy[32], loss[32];
    std::snprintf(accuracy, sizeof accuracy, "%.2f", 100 * report[key]["accuracy"].get<double>());
    std::snprintf(loss, sizeof loss, "%.4f", report[key]["loss"].get<double>());
    table.AddRow({what, accuracy, loss});
  }
  return table.Render() + basin::Text(report["zeros"].get<int64_t>(), " of ", report["prunable"].get<int64_t>(), " weights are zero");
}

int Prune(const PruneArguments& arguments, const MendingArguments& mending, const CommonOptions& common) {
  CheckOutputFile(arguments.out, {arguments.config, arguments.model});
  const auto config = trainer::ReadRunConfig(arguments.config, common.set);
  const trainer::PruneRequest request{.sparsity = arguments.sparsity,
                                      .scope = arguments.scope == "layer" ? merge::PruneScope::kLayer : merge::PruneScope::kGlobal,
                                      .mending = AsOptions(mending)};
  return trainer::WithCrew([&](trainer::Crew& crew) {
    const base::Json report = trainer::PruneFile(config, arguments.model, arguments.out, request, crew);
    if (!crew.leads()) return;
    if (common.json) std::cout << report.dump(2) << std::endl;
    if (!common.json && !common.quiet) std::cout << Text(report) << "\nreport: " << arguments.out << ".json" << std::endl;
  });
}

}  // namespace

void AddPrune(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("prune", "set the smallest weights to zero and mend what that does to activations");
  command->description(
      "One-shot magnitude pruning of the weight matrices (biases and norms stay), then a correction whose target is the dense network:\n"
      "reset for batch norm, rescale for plain networks, repair with layer norm. A few hundred images are enough.\n\n"
      "  basin prune run.yaml model.safetensors --sparsity 0.8 --renorm reset --samples 256 --out pruned.safetensors");
  auto arguments = std::make_shared<PruneArguments>();
  const auto common = AddCommonOptions(*command);
  command->add_option("CONFIG.yaml", arguments->config, "configuration with data and model")->required();
  command->add_option("MODEL", arguments->model, "a safetensors file")->required();
  command->add_option("--sparsity", arguments->sparsity, "share of the weights that become zero")->required()->check(CLI::Range(0.0, 1.0))->type_name("S");
  command->add_option("--scope", arguments->scope, "global (default: one threshold for all) | layer (the same share of each)")
      ->check(CLI::IsMember({"global", "layer"}))
      ->type_name("SCOPE");
  const auto mending = AddMendingOptions(*command, "none", /*merged=*/false);
  command->add_option("--out", arguments->out, "the pruned model; FILE.json beside it tells what was done")->required()->type_name("FILE");
  command->callback([=, &action] { action = [=] { return Prune(*arguments, *mending, *common); }; });
}

}  // namespace basin::launch
