// basin export
#include <iostream>

#include "base/error.h"
#include "base/pth.h"
#include "base/safetensors.h"
#include "launch/commands.h"
#include "launch/outputs.h"
#include "report/progress.h"

namespace basin::launch {
namespace {

struct ExportArguments {
  std::string model, to, out;
};

void Write(const ExportArguments& arguments, const std::vector<base::TensorView>& tensors,
           const std::map<std::string, std::string>& metadata) {
  if (arguments.to == "pth") {
    base::WritePth(arguments.out, tensors);
  } else {
    base::WriteSafetensors(arguments.out, tensors, metadata);
  }
}

int Export(const ExportArguments& arguments, const CommonOptions& common) {
  CheckOutputFile(arguments.out, {arguments.model}, /*with_report=*/false);
  base::Json report{{"file", arguments.out}, {"format", arguments.to}};
  const auto convert = [&](const auto& reader, const std::map<std::string, std::string>& metadata) {
    Write(arguments, reader.tensors(), metadata);
    int64_t elements = 0;
    for (const base::TensorView& tensor : reader.tensors()) elements += tensor.num_elements();
    report.update({{"tensors", reader.tensors().size()}, {"elements", elements}, {"bytes", std::filesystem::file_size(arguments.out)}});
  };
  if (base::IsZip(arguments.model)) {
    convert(base::PthReader(arguments.model), {});
  } else {
    const base::SafetensorsReader reader(arguments.model);
    convert(reader, reader.metadata());
  }
  if (common.json) {
    std::cout << report.dump(2) << std::endl;
  } else if (!common.quiet) {
    std::cout << Text(arguments.out, ": ", report["tensors"].get<int64_t>(), " tensors, ", report["elements"].get<int64_t>(), " elements, ",
                      report::FormatBytes(report["bytes"].get<int64_t>())) << std::endl;
  }
  return 0;
}

}  // namespace

void AddExport(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("export", "a model file for Python, or from Python");
  command->description(
      "Write a model's tensors, with their names and types, as a PyTorch file (pth) that\n"
      "torch.load(FILE, weights_only=True) reads as a state dict, or as safetensors. MODEL is a safetensors file, or a state dict\n"
      "that torch.save wrote; of the latter only dicts of tensors are read, nothing in it is run.\n\n"
      "  basin export RUN/average.safetensors --to pth --out average.pth\n"
      "  basin export resnet18.pth --to safetensors --out resnet18.safetensors");
  auto arguments = std::make_shared<ExportArguments>();
  const auto common = AddCommonOptions(*command);
  command->add_option("MODEL", arguments->model, "a safetensors file or a .pth")->required();
  command->add_option("--to", arguments->to, "pth | safetensors")
      ->required()
      ->check(CLI::IsMember({"pth", "safetensors"}))
      ->type_name("FORMAT");
  command->add_option("--out", arguments->out, "the file to write")->required()->type_name("FILE");
  command->callback([=, &action] { action = [=] { return Export(*arguments, *common); }; });
}

}  // namespace basin::launch
