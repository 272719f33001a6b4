// Everything that can be known about a run without starting it.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/json.h"

namespace basin::trainer {

struct CheckedConfig {
  std::string yaml;     ///< the effective configuration
  std::string summary;  ///< one line: data, model, strategy, steps, predicted bytes
  base::Json as_json;   ///< {"valid": true, "config_hash", "steps", "parameters", "predicted_bytes_per_rank", "config": "..."}
};

/// Parses, loads the data, builds the network and asks the strategy for its forecast. ConfigError or DataError with all problems.
CheckedConfig CheckConfig(const std::filesystem::path& file, const std::vector<std::string>& overrides);

}  // namespace basin::trainer
