// What a merged network's activation statistics are, from its parents' alone (arXiv 2211.08403, appendix on the closed form).
#pragma once

#include <span>
#include <vector>

#include "merge/renormalise.h"

namespace basin::merge {

/// Pearson correlation of unit c of one network with unit c of another (aligned) one over the same images and pixels.
struct MatchedCorrelation {
  size_t a = 0, b = 0;                ///< which networks
  std::vector<torch::Tensor> layers;  ///< float64 [units] a layer, in layer order, without the classifier; 0 where a unit is dead
};

/// Both networks see the same batches. Accumulated in double over all values; batch norm works with batch statistics.
MatchedCorrelation MeasureMatchedCorrelation(models::Classifier& a, models::Classifier& b, const models::BatchVisitor& batches);

/// Of the network at sum_i w_i theta_i: E x = sum_i w_i mu_i and Var x = sum_ij w_i w_j sigma_i sigma_j rho_ij; for two
/// networks (1-l)^2 s1^2 + l^2 s2^2 + 2 l (1-l) s1 s2 rho. Exact for the first layer, an approximation deeper on, where
/// it holds for inputs that are themselves mended. `correlations`: one for each pair a < b.
ActivationStatistics PredictMerged(std::span<const ActivationStatistics> parents, std::span<const double> weights,
                                   std::span<const MatchedCorrelation> correlations);

}  // namespace basin::merge
