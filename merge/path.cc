#include "merge/path.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/error.h"
#include "merge/match.h"
#include "merge/parallel.h"

namespace basin::merge {
namespace {

/// As std::max, but a NaN wins: a network that diverged on the way must not pass for a flat path.
double LargerOrNan(double a, double b) { return std::isnan(a) || a > b ? a : b; }

double LossAt(std::span<const PathPoint> curve, double lambda) {
  const auto right =
      std::find_if(curve.begin(), curve.end(), [&](const PathPoint& point) { return point.lambda >= lambda; });
  if (right->lambda == lambda) return right->loss;
  const auto left = right - 1;
  const double share = (lambda - left->lambda) / (right->lambda - left->lambda);
  return (1 - share) * left->loss + share * right->loss;
}

}  // namespace

models::StateDict Interpolate(const models::StateDict& a, const models::StateDict& b, double lambda) {
  const torch::NoGradGuard no_grad;
  BASIN_CHECK(std::isfinite(lambda), "lambda is ", lambda);
  const std::vector<const models::StateDict*> ends = {&a, &b};
  const std::array<double, 2> weights = {1 - lambda, lambda};
  models::StateDict result;
  for (const Versions& versions : MatchStates(ends)) {
    torch::Tensor out;
    if (lambda == 0 || lambda == 1) {
      out = versions.tensors[lambda == 0 ? 0 : 1].clone();
    } else {
      out = torch::empty_like(versions.tensors[0]);
      const base::Columns columns = versions.columns();
      auto* bytes = static_cast<std::byte*>(out.mutable_data_ptr());
      if (out.is_floating_point()) {
        base::WeightedSum(columns, weights, /*divisor=*/1, bytes, InParallel);
      } else if (out.numel() > 0) {
        base::LargestOf(columns, bytes);
      }
    }
    result.push_back({versions.name, out.to(a[result.size()].tensor.device())});
  }
  return result;
}

std::vector<double> Lambdas(int points) {
  if (points < 2) throw ConfigError(Text("a path of ", points, " points; allowed: at least 2 (both ends)"));
  std::vector<double> lambdas(static_cast<size_t>(points));
  for (int k = 0; k < points; ++k) lambdas[k] = static_cast<double>(k) / (points - 1);
  return lambdas;
}

Barriers MeasureBarriers(std::span<const PathPoint> curve) {
  BASIN_CHECK(curve.size() >= 2 && curve.front().lambda == 0 && curve.back().lambda == 1,
              "a curve must begin at lambda 0 and end at lambda 1; it has ", curve.size(), " points");
  const auto descent =
      std::adjacent_find(curve.begin(), curve.end(), [](const auto& a, const auto& b) { return a.lambda >= b.lambda; });
  BASIN_CHECK(descent == curve.end(), "the points of a curve must ascend in lambda; after ", descent->lambda,
              " they do not");
  const PathPoint &first = curve.front(), &last = curve.back();
  const double mean_loss = (first.loss + last.loss) / 2, mean_accuracy = (first.accuracy + last.accuracy) / 2;
  Barriers barriers{.max_mean = first.loss - mean_loss,
                    .linear = 0,
                    .mid = LossAt(curve, 0.5) - mean_loss,
                    .accuracy_max_mean = mean_accuracy - first.accuracy};
  for (const PathPoint& point : curve) {
    const double chord = (1 - point.lambda) * first.loss + point.lambda * last.loss;
    barriers.max_mean = LargerOrNan(point.loss - mean_loss, barriers.max_mean);
    barriers.linear = LargerOrNan(point.loss - chord, barriers.linear);
    barriers.accuracy_max_mean = LargerOrNan(mean_accuracy - point.accuracy, barriers.accuracy_max_mean);
  }
  return barriers;
}

}  // namespace basin::merge
