// The options that say how a merged network is mended; the same words for merge, lmc, analyze and prune.
#pragma once

#include <CLI/CLI.hpp>

#include <memory>
#include <string>

#include "trainer/laboratory/mending.h"

namespace basin::launch {

struct MendingArguments {
  std::string renorm = "none", form = "together";
  bool averaged = false, calibrate_bias = false, temperature = false;
  int64_t samples = 0, remove_biases = 0;
};
/// Adds --renorm (with the default given), --form, --averaged, --samples (unless the command has it already: then it counts for both), and, for merged networks, --calibrate-bias and --temperature.
std::shared_ptr<MendingArguments> AddMendingOptions(CLI::App& command, const std::string& renorm, bool merged = true);
trainer::MendingOptions AsOptions(const MendingArguments& arguments);

}  // namespace basin::launch
