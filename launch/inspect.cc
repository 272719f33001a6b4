// basin inspect
#include <iostream>

#include "launch/commands.h"
#include "launch/tensor_file.h"

namespace basin::launch {

void AddInspect(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("inspect", "what is in a safetensors file; compare two");
  command->description(
      "Name, shape, dtype, norm and xxh64 of every tensor of a safetensors file. With --diff, what differs between two files;\n"
      "exit code 1 when anything does.\n\n"
      "  basin inspect runs/a/average.safetensors --diff runs/b/average.safetensors");
  struct Arguments {
    std::string file, other;
  };
  auto arguments = std::make_shared<Arguments>();
  const auto common = AddCommonOptions(*command);
  command->add_option("FILE", arguments->file, "a safetensors file")->required();
  command->add_option("--diff", arguments->other, "compare with this file")->type_name("OTHER");
  command->callback([=, &action] {
    action = [=] {
      if (arguments->other.empty()) {
        const base::Json report = DescribeTensors(arguments->file);
        std::cout << (common->json ? report.dump(2) : TensorsText(report)) << std::endl;
        return 0;
      }
      const base::Json report = CompareTensors(arguments->file, arguments->other);
      std::cout << (common->json ? report.dump(2) : DifferencesText(report)) << std::endl;
      return report["equal"].get<bool>() ? 0 : 1;
    };
  });
}

}  // namespace basin::launch
