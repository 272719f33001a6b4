#include <algorithm>

#include "base/log.h"
#include "base/nearest.h"
#include "launch/commands.h"

namespace basin::launch {

std::shared_ptr<CommonOptions> AddCommonOptions(CLI::App& command) {
  auto options = std::make_shared<CommonOptions>();
  command.add_option("--set", options->set,
                     "override one key of the configuration, e.g. --set strategy.p=0.01 (repeatable; the value is YAML)")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  command.add_option_function<std::string>(
             "--log-level", [](const std::string& level) { base::SetLogLevel(base::ParseLogLevel(level)); },
             "debug | info | warning | error | off (default info)")
      ->type_name("LEVEL");
  command.add_flag("--json", options->json, "print the result as JSON on standard output, everything else on standard error");
  command.add_flag("--quiet", options->quiet, "no progress, no table");
  return options;
}

std::shared_ptr<trainer::AlignOptions> AddAlignOptions(CLI::App& command, bool for_pairs, const std::string& standard) {
  auto options = std::make_shared<trainer::AlignOptions>();
  options->method = standard;
  command.add_option("--align", options->method, trainer::AlignHelp(for_pairs) + " (default " + standard + ")")
      ->check([=](const std::string& name) {
        const auto here = trainer::AlignNames(for_pairs), all = trainer::AlignNames(/*for_pairs=*/false);
        if (std::ranges::count(here, name) > 0) return std::string();
        const char* why = std::ranges::count(all, name) > 0 ? " is for merge only: it does not permute one network to fit another" : " is not known";
        return name + why + "; allowed here: " + base::JoinNames(here);
      })
      ->type_name("HOW");
  command.add_option("--seed", options->seed, "of what is random in aligning (default 0)")
      ->check([](const std::string& text) { return text.starts_with('-') ? "--seed " + text + ": allowed are whole numbers from 0 on" : std::string(); });
  command.add_option("--starts", options->starts, "searches of weight matching; the best counts (default 1)")->check(CLI::Range(1, 10000));
  command.add_flag("--coloured", options->coloured, "weight: ids that share no tensor at the same time, on all cores");
  command.add_option("--samples", options->samples, "training images that methods look at (default: all, at most 10000)")
      ->check(CLI::Range(int64_t{2}, int64_t{1} << 40));
  command.add_option("--similarity", options->similarity, "activation: correlation (default) | second-moment")
      ->check(CLI::IsMember({"correlation", "second-moment"}))
      ->type_name("HOW");
  command.add_flag("--before-relu", options->before_relu, "activation: compare units before their ReLU");
  command.add_option("--epochs", options->epochs, "ste, sinkhorn: passes over the samples (default 1)")->check(CLI::PositiveNumber);
  command.add_option("--lr", options->lr, "ste, sinkhorn: learning rate (default 0.01, 0.1)")->check(CLI::PositiveNumber);
  command.add_option("--loss", options->loss, "sinkhorn: midpoint (default, cross-entropy of the average) | distance (of the weights, no images)")
      ->check(CLI::IsMember({"midpoint", "distance"}))
      ->type_name("WHAT");
  command.add_option("--ridge", options->ridge, "cca: added to the covariances, in units of their mean variance (default 0.001)")
      ->check(CLI::NonNegativeNumber);
  command.add_option("--symmetry", options->symmetry, "which units belong together, for networks of your own (docs/merging.md)")->type_name("FILE");
  return options;
}

}  // namespace basin::launch
