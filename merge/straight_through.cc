#include "merge/straight_through.h"

#include <cmath>
#include <map>

#include "base/error.h"
#include "merge/midpoint.h"

namespace basin::merge {

StraightThrough MatchStraightThrough(models::Classifier& scratch, const models::StateDict& a, const models::StateDict& b,
                                     const TrainingBatches& batches, const StraightThroughOptions& options) {
  BASIN_CHECK(batches.steps > 0, "straight-through matching needs at least one step");
  const models::PermutationSpec spec = scratch.symmetry();
  models::StateDict theta = models::CloneState(a);
  std::map<std::string, torch::Tensor> velocity;
  WeightMatchingOptions matching{.seed = options.seed, .max_sweeps = options.max_sweeps};
  StraightThrough result;
  for (int64_t step = 0; step < batches.steps; ++step) {
    matching.warm = MatchWeights(spec, theta, b, matching).permutations;
    const MidpointLoss found = LossAtMidpoint(scratch, a, models::ApplyPermutations(spec, matching.warm, b), batches.at(step));
    if (!std::isfinite(found.loss)) {
      throw DataError(Text("straight-through matching: the loss of step ", step, " is not finite; the networks or the images are damaged"));
    }
    result.losses.push_back(found.loss);
    if (step == 0 || found.loss < result.losses[result.best_step]) {
      result.best_step = step;
      result.permutations = matching.warm;
    }
    const torch::NoGradGuard no_grad;
    for (const models::NamedTensor& item : theta) {
      const auto gradient = found.gradient.find(item.name);
      if (gradient == found.gradient.end()) continue;
      torch::Tensor& v = velocity.try_emplace(item.name, torch::zeros_like(item.tensor)).first->second;
      v.mul_(options.momentum).add_(gradient->second.to(v.device()), 0.5);
      torch::Tensor free = item.tensor;
      free.sub_(v, options.lr);
    }
  }
  return result;
}

}  // namespace basin::merge
