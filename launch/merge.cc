// basin merge
#include <iostream>

#include "base/error.h"
#include "launch/commands.h"
#include "launch/mending.h"
#include "launch/outputs.h"
#include "trainer/laboratory/finished.h"

namespace basin::launch {
namespace {

struct MergeArguments {
  std::vector<std::string> inputs;  // [CONFIG.yaml] MODEL...
  std::string out, method = "uniform";
  std::vector<double> weights;
  double trim = 0.25;
};

const std::map<std::string, trainer::MergeMethod> kMethods{{"uniform", trainer::MergeMethod::kUniform},
                                                           {"greedy-soup", trainer::MergeMethod::kGreedySoup},
                                                           {"median", trainer::MergeMethod::kMedian},
                                                           {"trimmed-mean", trainer::MergeMethod::kTrimmedMean}};

bool IsModel(const std::string& path) { return path.ends_with(".safetensors"); }

void Print(const MergeArguments& arguments, size_t models, const base::Json& report, const CommonOptions& common) {
  if (common.json) std::cout << report.dump(2) << std::endl;
  if (common.json || common.quiet) return;
  std::cout << arguments.out << ": " << arguments.method << " of " << models << " models";
  if (report["align"] != "none") std::cout << ", aligned by " << report["align"].get<std::string>();
  if (report.contains("test")) {
    std::cout << Text(", test accuracy ", 100 * report["test"]["accuracy"].get<double>(), " %, loss ",
                      report["test"]["loss"].get<double>());
  }
  std::cout << "\nreport: " << arguments.out << ".json" << std::endl;
}

int Merge(const MergeArguments& arguments, const trainer::AlignOptions& align, const MendingArguments& mending, const CommonOptions& common) {
  CheckOutputFile(arguments.out, arguments.inputs);
  std::vector<std::string> models = arguments.inputs;
  std::optional<trainer::RunConfig> config;
  if (!IsModel(models.front())) {
    config = trainer::ReadRunConfig(models.front(), common.set);
    models.erase(models.begin());
  }
  if (models.empty()) throw ConfigError("no model files were given; name at least one .safetensors file");
  if (!arguments.weights.empty() && arguments.weights.size() != models.size()) {
    throw ConfigError(Text("--weights: ", arguments.weights.size(), " numbers for ", models.size(), " models; give one a model"));
  }
  if (!arguments.weights.empty() && arguments.method != "uniform") {
    throw ConfigError("--weights goes with --method uniform only");
  }
  const trainer::MergeRequest request{.method = kMethods.at(arguments.method),
                                      .weights = arguments.weights,
                                      .trim = arguments.trim,
                                      .mending = AsOptions(mending),
                                      .align = align};
  return trainer::WithCrew([&](trainer::Crew& crew) {
    const base::Json report = trainer::MergeFiles(config, {models.begin(), models.end()}, arguments.out, request, crew);
    if (crew.leads()) Print(arguments, models.size(), report, common);
  });
}

}  // namespace

void AddMerge(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("merge", "make one model of several");
  command->description(
      "Average model files into one. Without a configuration the tensors are streamed, so memory stays at one tensor of each\n"
      "file; greedy-soup and mending (--renorm and its companions) need data, so a configuration goes before the models. --align permutes the\n"
      "units of the networks first, so that networks that were trained apart fit; under mpirun the ranks share that work.\n\n"
      "  basin merge a.safetensors b.safetensors --out merged.safetensors\n"
      "  basin merge configs/quickstart.yaml runs/quickstart/members/*.safetensors --method greedy-soup --renorm reset --out soup.safetensors");
  auto arguments = std::make_shared<MergeArguments>();
  const auto common = AddCommonOptions(*command);
  command->add_option("INPUT", arguments->inputs, "[CONFIG.yaml] MODEL.safetensors ...")->required();
  command->add_option("--out", arguments->out, "the merged model; FILE.json beside it tells what was done")->required()->type_name("FILE");
  command->add_option("--method", arguments->method, "uniform (default) | greedy-soup | median | trimmed-mean")
      ->check(CLI::IsMember(kMethods))
      ->type_name("METHOD");
  const auto align = AddAlignOptions(*command, /*for_pairs=*/false, "none");
  const auto mending = AddMendingOptions(*command, "none");
  command->add_option("--weights", arguments->weights, "weights of a uniform average, one a model")->delimiter(',');
  command->add_option("--trim", arguments->trim, "trimmed-mean: share dropped at each end (default 0.25)")->check(CLI::Range(0.0, 0.499999));
  command->callback([=, &action] { action = [=] { return Merge(*arguments, *align, *mending, *common); }; });
}

}  // namespace basin::launch
