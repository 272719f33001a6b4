// basin lmc
#include <iostream>

#include "base/error.h"
#include "launch/commands.h"
#include "launch/mending.h"
#include "launch/outputs.h"
#include "launch/results.h"
#include "trainer/laboratory/finished.h"

namespace basin::launch {
namespace {

struct LmcArguments {
  std::string config, out;
  std::vector<std::string> models;
  int points = 0;
};

int Lmc(const LmcArguments& arguments, const trainer::AlignOptions& align, const MendingArguments& mending, const CommonOptions& common) {
  std::vector<std::string> overrides = common.set;
  if (arguments.points > 0) overrides.push_back(Text("lmc.points=", arguments.points));
  const auto config = trainer::ReadRunConfig(arguments.config, overrides);
  if (arguments.models.size() < 2) throw ConfigError("lmc needs at least two models: a line has two ends");
  std::optional<std::filesystem::path> folder;
  if (!arguments.out.empty()) {
    CheckOutputFolder(arguments.out);
    folder = arguments.out;
  }
  return trainer::WithCrew([&](trainer::Crew& crew) {
    const base::Json report = trainer::ConnectFiles(config, {arguments.models.begin(), arguments.models.end()}, AsOptions(mending), align,
                                                    folder, crew);
    if (!crew.leads()) return;
    std::cout << (common.json ? report.dump(2) : BarriersText(report["lmc"])) << std::endl;
    if (folder) std::cerr << "curves: " << (*folder / "lmc.csv").string() << std::endl;
  });
}

}  // namespace

void AddLmc(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("lmc", "linear mode connectivity: the loss on the line between models");
  command->description(
      "For every pair of models, loss and accuracy at evenly spaced points of the straight line between them, and the height of\n"
      "the barrier by three definitions: max_mean (B1, Git Re-Basin), linear (B2, Entezari et al.), mid (B3). Beside the\n"
      "interpolated networks (none) the same are measured mended as --renorm says; reset does so for networks with batch norm. --align: the\n"
      "second network of each pair is permuted to fit the first. Under mpirun the ranks share the work.\n\n"
      "  basin lmc configs/quickstart.yaml a.safetensors b.safetensors --points 25 --out lmc/");
  auto arguments = std::make_shared<LmcArguments>();
  const auto common = AddCommonOptions(*command);
  command->add_option("CONFIG.yaml", arguments->config, "configuration with data and model")->required();
  command->add_option("MODEL", arguments->models, "two or more safetensors files")->required();
  command->add_option("--points", arguments->points, "points on each line, ends included (default: lmc.points, 25)")->check(CLI::Range(2, 100000));
  const auto align = AddAlignOptions(*command, /*for_pairs=*/true, "none");
  const auto mending = AddMendingOptions(*command, "reset");
  command->add_option("--out", arguments->out, "folder for lmc.csv, barriers.json and pictures (SVG)")->type_name("DIR");
  command->callback([=, &action] { action = [=] { return Lmc(*arguments, *align, *mending, *common); }; });
}

}  // namespace basin::launch
