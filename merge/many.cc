#include "merge/many.h"

#include <cmath>

#include "base/error.h"
#include "base/seed.h"
#include "merge/average.h"

namespace basin::merge {
namespace {

/// `first`, then `second`, as one: new unit i is old unit first[second[i]].
models::Permutations Compose(const models::Permutations& first, const models::Permutations& second) {
  models::Permutations both = second;
  for (auto& [id, pi] : both) {
    const auto before = first.find(id);
    if (before != first.end()) pi = before->second.index_select(0, pi);
  }
  return both;
}

models::StateDict MeanOfOthers(const std::vector<models::StateDict>& networks, size_t left_out) {
  std::vector<models::StateDict> others;
  for (size_t k = 0; k < networks.size(); ++k) {
    if (k != left_out) others.push_back(networks[k]);  // tensors are shared
  }
  return AverageStates(others);
}

}  // namespace

ManyMatching MatchMany(const models::PermutationSpec& spec, std::span<const models::StateDict> networks, const ManyOptions& options,
                       const TaskShare& share) {
  BASIN_CHECK(!networks.empty(), "matching many: no network");
  ManyMatching result{.permutations = std::vector<models::Permutations>(networks.size())};
  std::vector<models::StateDict> moved(networks.begin(), networks.end());
  constexpr uint64_t kVisits = ~uint64_t{0};  // beside the sweeps of weight matching, which use the same purpose
  for (bool progress = networks.size() > 1; progress;) {
    if (result.rounds == options.max_rounds) {
      result.converged = false;
      break;
    }
    progress = false;
    const auto round = static_cast<uint64_t>(result.rounds++);
    for (const int64_t k : base::RandomPermutation(std::ssize(networks), {options.seed, base::Purpose::kMatchOrder, round, kVisits})) {
      const models::StateDict mean = MeanOfOthers(moved, static_cast<size_t>(k));
      const Matching found = MatchWeights(spec, mean, moved[k], {.seed = options.seed + round, .starts = options.starts}, share);
      if (std::sqrt(found.distance_squared_after) >= std::sqrt(found.distance_squared_before) - 1e-12) continue;
      progress = true;
      result.permutations[k] = Compose(result.permutations[k], found.permutations);
      moved[k] = models::ApplyPermutations(spec, result.permutations[k], networks[k]);
    }
  }
  return result;
}

}  // namespace basin::merge
