#include "merge/distance.h"

#include "merge/match.h"
#include "merge/parallel.h"

namespace basin::merge {

std::string LayerOf(const std::string& tensor) {
  const size_t dot = tensor.rfind('.');
  return dot == std::string::npos ? tensor : tensor.substr(0, dot);
}

Distance MeasureDistance(const models::StateDict& a, const models::StateDict& b) {
  const torch::NoGradGuard no_grad;
  const std::vector<const models::StateDict*> both{&a, &b};
  Distance distance;
  for (const Versions& versions : MatchStates(both)) {
    if (models::IsBatchNormStatistic(versions.name) || !versions.tensors[0].is_floating_point()) continue;
    const base::Columns columns = versions.columns();
    const double squared = base::SquaredDistance(columns.dtype, columns.data[0], columns.data[1], columns.num_elements, InParallel);
    const std::string layer = LayerOf(versions.name);
    if (distance.layers.empty() || distance.layers.back().name != layer) distance.layers.push_back({layer, 0});
    distance.layers.back().l2_squared += squared;
    distance.l2_squared += squared;
  }
  return distance;
}

}  // namespace basin::merge
