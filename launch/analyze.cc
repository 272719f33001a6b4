// basin analyze
#include <iostream>

#include "base/error.h"
#include "launch/commands.h"
#include "launch/mending.h"
#include "launch/outputs.h"
#include "report/table.h"
#include "trainer/laboratory/analysis.h"

namespace basin::launch {
namespace {

struct AnalyzeArguments {
  std::string config, out;
  std::vector<std::string> models;
  std::vector<double> gammas{0, 0.3};
  int grid = 21;
  double margin = 0.25;
};

std::string Short(const base::Json& value) {
  if (!value.is_number()) return "-";
  char text[32];
  std::snprintf(text, sizeof text, "%.4g", value.get<double>());
  return text;
}

std::string SummaryText(const base::Json& summary) {
  std::string text = "distance " + Short(summary["distance"]["l2"]) + " (squared " + Short(summary["distance"]["l2_squared"]) + ")\n";
  for (const base::Json& r : summary["singular"]["r"]) text += "R at gamma " + Short(r["gamma"]) + ": " + Short(r["value"]) + '\n';
  text += "barrier at the middle on train: " + Short(summary["taylor"]["barrier_mid"]) + " nats, Taylor's estimate " + Short(summary["taylor"]["estimate_mid"]) + '\n';
  report::Table table({"layer", "variance ratio", "mended", "feature ratio", "mended", "matched correlation"});
  for (const base::Json& layer : summary["collapse"]["layers"]) {
    const auto cell = [&](const char* key) { return Short(layer.value(key, base::Json(nullptr))); };
    table.AddRow({layer["name"].get<std::string>(), cell("variance_ratio_merged"), cell("variance_ratio_mended"), cell("feature_ratio_merged"),
                  cell("feature_ratio_mended"), cell("correlation")});
  }
  return text + table.Render();
}

int Analyze(const AnalyzeArguments& arguments, const MendingArguments& mending, const CommonOptions& common) {
  CheckOutputFolder(arguments.out);
  const auto config = trainer::ReadRunConfig(arguments.config, common.set);
  const trainer::MendingOptions options = AsOptions(mending);
  const trainer::AnalyzeRequest request{
      .gammas = arguments.gammas,
      .mending = options,
      .plane = {.grid = arguments.grid, .margin = arguments.margin, .reset = options.renorm == trainer::MendingOptions::Renorm::kReset}};
  return trainer::WithCrew([&](trainer::Crew& crew) {
    const base::Json summary = trainer::AnalyzeFiles(config, {arguments.models.begin(), arguments.models.end()}, arguments.out, request, crew);
    if (!crew.leads()) return;
    if (common.json) std::cout << summary.dump(2) << std::endl;
    if (!common.json && !common.quiet) std::cout << SummaryText(summary) << "files: " << arguments.out << std::endl;
  });
}

}  // namespace

void AddAnalyze(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("analyze", "why two models can be merged, or cannot");
  command->description(
      "Distances, singular-value spectra and how well singular vectors point the same way (R), signs of collapse in the midpoint and how\n"
      "--renorm mends them, Taylor's estimate of the barrier; with a third model the loss on the plane through all three. A and B are\n"
      "taken as given: align B before (basin match). Under mpirun the ranks share the work.\n\n"
      "  basin analyze run.yaml a.safetensors b.safetensors --renorm repair --out analysis/");
  auto arguments = std::make_shared<AnalyzeArguments>();
  const auto common = AddCommonOptions(*command);
  command->add_option("CONFIG.yaml", arguments->config, "configuration with data and model")->required();
  command->add_option("MODEL", arguments->models, "two or three safetensors files")->required()->expected(2, 3);
  command->add_option("--gamma", arguments->gammas, "thresholds of R, shares of each layer's largest singular value (default 0,0.3)")->delimiter(',');
  command->add_option("--grid", arguments->grid, "points a side of the plane (default 21)")->check(CLI::Range(2, 1001));
  command->add_option("--margin", arguments->margin, "how far the plane reaches beyond the models, a share (default 0.25)")->check(CLI::Range(0.0, 10.0));
  const auto mending = AddMendingOptions(*command, "none");
  command->add_option("--out", arguments->out, "folder for JSON, CSV and pictures (SVG)")->required()->type_name("DIR");
  command->callback([=, &action] { action = [=] { return Analyze(*arguments, *mending, *common); }; });
}

}  // namespace basin::launch
