// basin eval
#include <iostream>

#include "launch/commands.h"
#include "launch/results.h"
#include "trainer/laboratory/finished.h"

namespace basin::launch {

void AddEval(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("eval", "loss and accuracy of model files");
  command->description(
      "Loss (mean cross-entropy, nats) and accuracy of each model file on the configured data: train, validation, test.\n\n"
      "  basin eval configs/quickstart.yaml runs/quickstart/members/*.safetensors --ensemble");
  struct Arguments {
    std::string config;
    std::vector<std::string> models;
    bool ensemble = false;
  };
  auto arguments = std::make_shared<Arguments>();
  const auto common = AddCommonOptions(*command);
  command->add_option("CONFIG.yaml", arguments->config, "configuration with data and model")->required();
  command->add_option("MODEL", arguments->models, "safetensors files")->required();
  command->add_flag("--ensemble", arguments->ensemble, "also the mean of the models' logits");
  command->callback([=, &action] {
    action = [=] {
      const auto config = trainer::ReadRunConfig(arguments->config, common->set);
      const base::Json report =
          trainer::EvaluateFiles(config, {arguments->models.begin(), arguments->models.end()}, arguments->ensemble);
      std::cout << (common->json ? report.dump(2) : ScoresText(report)) << std::endl;
      return 0;
    };
  });
}

}  // namespace basin::launch
