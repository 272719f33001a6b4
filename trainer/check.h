// Everything that can be known about a run without starting it.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/json.h"
#include "data/dataset.h"
#include "trainer/config/config.h"

namespace basin::trainer {

struct CheckedConfig {
  std::string yaml;     ///< the effective configuration
  std::string summary;  ///< one line: data, model, strategy, steps, predicted bytes
  base::Json as_json;   ///< {"valid": true, "config_hash", "steps", "parameters", "predicted_bytes_per_rank", "config": "..."}
};

/// Parses, loads the data, builds the network and asks the strategy for its forecast. ConfigError or DataError with all problems.
CheckedConfig CheckConfig(const std::filesystem::path& file, const std::vector<std::string>& overrides);

/// ConfigError when the strategy cannot keep its budget in bytes. An outline of the data set will do (data/registry.h).
void CheckBudget(const RunConfig& config, const data::Dataset& dataset);

}  // namespace basin::trainer
