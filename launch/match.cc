// basin match
#include <iostream>

#include "base/error.h"
#include "launch/commands.h"
#include "launch/outputs.h"
#include "trainer/laboratory/finished.h"

namespace basin::launch {
namespace {

struct MatchArguments {
  std::vector<std::string> inputs;  // [CONFIG.yaml] A B
  std::string out;
};

void Print(const std::string& out, const base::Json& report) {
  if (report.contains("objective")) {
    std::cout << Text("objective ", report["objective"]["before"].get<double>(), " -> ", report["objective"]["after"].get<double>());
    if (report.contains("sweeps")) {
      std::cout << Text(" in ", report["sweeps"].get<int>(), " sweeps", report["converged"].get<bool>() ? "" : " (not converged)");
    }
    std::cout << "\n";
  }
  if (report.contains("loss")) {
    std::cout << Text("loss at the midpoint, of one batch ", report["loss"]["first"].get<double>(), " -> ", report["loss"]["best"].get<double>(), "\n");
  }
  if (report.contains("mean_similarity")) {
    for (const auto& [id, mean] : report["mean_similarity"].items()) {
      std::cout << Text(id, ": mean similarity ", mean["before"].get<double>(), " -> ", mean["after"].get<double>(), "\n");
    }
  }
  const base::Json& distance = report["distance"];
  std::cout << Text("distance ", distance["l2_before"].get<double>(), " -> ", distance["l2_after"].get<double>(), " (squared ",
                    distance["l2_squared_before"].get<double>(), " -> ", distance["l2_squared_after"].get<double>(), ")\n", out,
                    ": B, permuted to fit A\npermutations: ", out, ".json")
            << std::endl;
}

int Match(const MatchArguments& arguments, const trainer::AlignOptions& align, const CommonOptions& common) {
  std::vector<std::string> models = arguments.inputs;
  std::optional<trainer::RunConfig> config;
  if (!models.front().ends_with(".safetensors")) {
    config = trainer::ReadRunConfig(models.front(), common.set);
    models.erase(models.begin());
  }
  CheckOutputFile(arguments.out, arguments.inputs);
  if (models.size() != 2) throw ConfigError(Text("match takes two models, A and B; found ", models.size()));
  if (align.method == "none") throw ConfigError("match with --align none would copy B; allowed: the other methods of --align");
  return trainer::WithCrew([&](trainer::Crew& crew) {
    const base::Json report = trainer::MatchFiles(config, {models.begin(), models.end()}, arguments.out, align, crew);
    if (!crew.leads()) return;
    if (common.json) {
      std::cout << report.dump() << std::endl;
    } else if (!common.quiet) {
      Print(arguments.out, report);
    }
  });
}

}  // namespace

void AddMatch(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("match", "permute the units of one network so that it fits another");
  command->description(
      "Writes B with its hidden units permuted to fit A: the same function, a complete model file, buffers permuted too. The\n"
      "permutations go to FILE.json. The configuration names the networks' model; --symmetry FILE describes one of your own\n"
      "instead. Under mpirun the ranks share the work, to the same result.\n\n"
      "  basin match configs/quickstart.yaml a.safetensors b.safetensors --out b_fitted.safetensors\n"
      "  basin match a.safetensors b.safetensors --symmetry mine.yaml --starts 5 --out b_fitted.safetensors");
  auto arguments = std::make_shared<MatchArguments>();
  const auto common = AddCommonOptions(*command);
  command->add_option("INPUT", arguments->inputs, "[CONFIG.yaml] A.safetensors B.safetensors")->required();
  command->add_option("--out", arguments->out, "B permuted; FILE.json beside it holds the permutations")->required()->type_name("FILE");
  const auto align = AddAlignOptions(*command, /*for_pairs=*/true, "weight");
  command->callback([=, &action] { action = [=] { return Match(*arguments, *align, *common); }; });
}

}  // namespace basin::launch
