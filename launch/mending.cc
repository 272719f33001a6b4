#include "launch/mending.h"

#include <cstdlib>
#include <map>

namespace basin::launch {
namespace {

using trainer::MendingOptions;

const std::map<std::string, MendingOptions::Renorm> kRenorms{{"none", MendingOptions::Renorm::kNone},
                                                             {"reset", MendingOptions::Renorm::kReset},
                                                             {"repair", MendingOptions::Renorm::kRepair},
                                                             {"rescale", MendingOptions::Renorm::kRescale},
                                                             {"reshift", MendingOptions::Renorm::kReshift}};
const std::map<std::string, MendingOptions::Form> kForms{{"together", MendingOptions::Form::kTogether},
                                                         {"sequential", MendingOptions::Form::kSequential},
                                                         {"closed", MendingOptions::Form::kClosed}};

}  // namespace

std::shared_ptr<MendingArguments> AddMendingOptions(CLI::App& command, const std::string& renorm, bool merged) {
  auto arguments = std::make_shared<MendingArguments>();
  arguments->renorm = renorm;
  command.add_option("--renorm", arguments->renorm,
                     "none | reset (batch-norm statistics) | repair | rescale | reshift (default " + renorm + ")")
      ->check(CLI::IsMember(kRenorms))
      ->type_name("HOW");
  command.add_option("--form", arguments->form,
                     std::string("of repair, rescale, reshift: together (default: one pass) | sequential (layer by layer)") +
                         (merged ? " | closed (from the parents' statistics alone)" : ""))
      ->check(CLI::IsMember(kForms))
      ->type_name("FORM");
  command.add_flag("--averaged", arguments->averaged, "of repair, rescale, reshift: one target a layer instead of one a unit");
  if (CLI::Option* shared = command.get_option_no_throw("--samples")) {  // aligning looks at as many
    shared->each([arguments](const std::string& value) { arguments->samples = std::atoll(value.c_str()); });
  } else {
    command.add_option("--samples", arguments->samples, "training images for statistics (default: all, at most 10000)")
        ->check(CLI::Range(int64_t{2}, int64_t{1} << 40));
  }
  if (!merged) return arguments;
  command.add_flag("--calibrate-bias", arguments->calibrate_bias, "weigh the bias at depth h by lambda^h (plain networks; needs no images)");
  command.add_option("--remove-biases", arguments->remove_biases, "zero the biases of the last K layers, the classifier included (plain networks)")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 20))
      ->type_name("K");
  command.add_flag("--temperature", arguments->temperature, "divide the logits by the best temperature on the sample");
  return arguments;
}

trainer::MendingOptions AsOptions(const MendingArguments& arguments) {
  return {.renorm = kRenorms.at(arguments.renorm),
          .form = kForms.at(arguments.form),
          .averaged = arguments.averaged,
          .calibrate_biases = arguments.calibrate_bias,
          .remove_biases = arguments.remove_biases,
          .temperature = arguments.temperature,
          .samples = arguments.samples};
}

}  // namespace basin::launch
