#include "merge/closed_form.h"

#include "base/error.h"

namespace basin::merge {
namespace {

/// [n, units, ...] -> float64 [units, values]
torch::Tensor ByUnit(const torch::Tensor& x) { return x.transpose(0, 1).flatten(1).to(torch::kFloat64); }

/// Sums over the values of a pair of units.
struct PairSums {
  torch::Tensor a, b, aa, bb, ab;  // float64 [units]
  double values = 0;

  void Add(const torch::Tensor& x, const torch::Tensor& y) {
    // About the first batch's means: a difference of large sums would lose the digits of a small variance.
    if (!origin_a.defined()) {
      origin_a = x.mean(1, /*keepdim=*/true);
      origin_b = y.mean(1, /*keepdim=*/true);
      a = b = aa = bb = ab = torch::zeros({x.size(0)}, x.options());
    }
    const torch::Tensor u = x - origin_a, v = y - origin_b;
    a = a + u.sum(1);
    b = b + v.sum(1);
    aa = aa + u.square().sum(1);
    bb = bb + v.square().sum(1);
    ab = ab + (u * v).sum(1);
    values += static_cast<double>(x.size(1));
  }
  torch::Tensor Pearson() const {
    const torch::Tensor covariance = ab - a * b / values;
    const torch::Tensor scale = ((aa - a * a / values) * (bb - b * b / values)).clamp_min(0).sqrt();
    const torch::Tensor rho = (covariance / scale).clamp(-1, 1);
    return torch::where(scale > 0, rho, torch::zeros_like(rho)).to(torch::kCPU);
  }

  torch::Tensor origin_a, origin_b;
};

}  // namespace

MatchedCorrelation MeasureMatchedCorrelation(models::Classifier& a, models::Classifier& b, const models::BatchVisitor& batches) {
  ListeningPass pass_a(a), pass_b(b);
  BASIN_CHECK(pass_a.layers().size() == pass_b.layers().size(), "networks of ", pass_a.layers().size(), " and ",
              pass_b.layers().size(), " layers");
  std::vector<torch::Tensor> outputs(pass_a.layers().size());
  std::vector<PairSums> sums(outputs.size());
  batches([&](const torch::Tensor& images) {
    pass_a.Forward(images, [&](size_t i, const torch::Tensor& x) { return outputs[i] = x; });
    pass_b.Forward(images, [&](size_t i, const torch::Tensor& x) {
      sums[i].Add(ByUnit(outputs[i]), ByUnit(x));
      outputs[i] = torch::Tensor();  // a batch's activations are the most memory here
      return x;
    });
  });
  MatchedCorrelation correlation;
  for (size_t i = 0; i < sums.size(); ++i) {
    BASIN_CHECK(sums[i].values > 0, "no batch has passed through layer ", pass_a.layers()[i].name);
    correlation.layers.push_back(sums[i].Pearson());
  }
  return correlation;
}

ActivationStatistics PredictMerged(std::span<const ActivationStatistics> parents, std::span<const double> weights,
                                   std::span<const MatchedCorrelation> correlations) {
  const size_t n = parents.size();
  BASIN_CHECK(correlations.size() == n * (n - 1) / 2, correlations.size(), " pairs of ", n, " networks");
  const std::vector<double> equal(n, 1.0 / static_cast<double>(n));
  if (weights.empty()) weights = equal;
  ActivationStatistics predicted = CombineStatistics(parents, weights);
  for (size_t layer = 0; layer < predicted.std.size(); ++layer) {
    torch::Tensor variance = torch::zeros_like(predicted.std[layer]);
    for (size_t k = 0; k < n; ++k) variance += (weights[k] * parents[k].std[layer]).square();
    for (const MatchedCorrelation& pair : correlations) {
      variance += 2 * weights[pair.a] * weights[pair.b] * parents[pair.a].std[layer] * parents[pair.b].std[layer] * pair.layers.at(layer);
    }
    predicted.std[layer] = variance.clamp_min(0).sqrt();
  }
  return predicted;
}

}  // namespace basin::merge
