// Greedy soup (Wortsman et al., arXiv 2203.05482, Recipe 1).
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "models/state_dict.h"

namespace basin::merge {

struct Soup {
  models::StateDict state;      ///< uniform average of the chosen
  std::vector<int64_t> chosen;  ///< in the order of being added
  double score = 0;             ///< of the soup
};

/// Sorts by single score (descending, ties by index), then adds a network when the average with it scores at least as
/// well (not worse). `score`: higher is better; it may change its argument's batch-norm statistics (recalibration); the
/// state it leaves behind is what the soup keeps.
Soup GreedySoup(std::span<const models::StateDict> states, const std::function<double(models::StateDict&)>& score);

}  // namespace basin::merge
