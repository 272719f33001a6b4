// basin check
#include <iostream>

#include "launch/commands.h"
#include "trainer/check.h"

namespace basin::launch {

void AddCheck(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("check", "check a configuration and its data, print what would be run");
  command->description(
      "Parse a configuration, check every key and the data files, and print the effective configuration (all defaults filled\n"
      "in). All problems are reported at once. Exit code 0, or 2 (configuration) or 3 (data).\n\n"
      "  basin check configs/quickstart.yaml");
  auto file = std::make_shared<std::string>();
  const auto common = AddCommonOptions(*command);
  command->add_option("CONFIG.yaml", *file, "the configuration")->required();
  command->callback([=, &action] {
    action = [=] {
      const trainer::CheckedConfig checked = trainer::CheckConfig(*file, common->set);
      std::cerr << checked.summary << '\n';
      if (common->json) {
        std::cout << checked.as_json.dump(2) << std::endl;
      } else if (!common->quiet) {
        std::cout << checked.yaml << std::flush;
      }
      return 0;
    };
  });
}

}  // namespace basin::launch
