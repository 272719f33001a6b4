// In which keys two configurations differ.
#pragma once

#include <string>
#include <vector>

namespace basin::trainer {

/// One line a key, "train.optimizer.lr: 0.1 in the checkpoint, 0.2 here"; empty when both say the same. Both are YAML as
/// ComparableYaml writes it; `where` is where the saved one stands. ConfigError when one is not YAML.
std::vector<std::string> DescribeDifferences(const std::string& saved, const std::string& own, const std::string& where = "the checkpoint");

}  // namespace basin::trainer
