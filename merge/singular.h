// Singular values and vectors of weight matrices, and how well those of two networks point the same way (Ito et al.,
// "Analysis of linear mode connectivity via permutation-based weight matching", arXiv 2402.04051).
#pragma once

#include <string>
#include <vector>

#include "models/state_dict.h"

namespace basin::merge {

/// Thin SVD of one weight matrix, W = U diag(s) V^T, in double.
struct Decomposition {
  std::string name;    ///< of the layer, e.g. "layer1.0.conv1"
  torch::Tensor u;     ///< [out, k], k = min(out, in)
  torch::Tensor s;     ///< [k], descending
  torch::Tensor v;     ///< [in, k]
};

/// Names of the tensors that are weight matrices: "*.weight" with two axes or more.
std::vector<std::string> WeightMatrices(const models::StateDict& state);
/// A convolution is taken as out x (in * kh * kw). `tensor` is one of WeightMatrices.
Decomposition Decompose(const models::StateDict& state, const std::string& tensor);
std::vector<Decomposition> DecomposeAll(const models::StateDict& state);

/// Numerator and denominator of R for one layer.
struct LayerAlignment {
  double sum = 0;       ///< sum_ij (u_i^a . u_j^b)(v_i^a . v_j^b) over the pairs that count
  int64_t counted = 0;  ///< n_l
};
/// A pair counts when s_i^a >= gamma s_1^a and s_j^b >= gamma s_1^b, both of this layer, and neither is zero up to the rounding
/// of the weights (max(out, in) x 1.2e-7 x s_1; the vectors of a zero are arbitrary). Where a and b keep different numbers, n_l is
/// the smaller one, since no more pairs can be perfectly aligned. Computed as <U_a V_a^T, U_b V_b^T> of what is kept, which is
/// the same sum: for gamma = 0 the inner product of the polar factors.
LayerAlignment AlignLayer(const Decomposition& a, const Decomposition& b, double gamma);

/// R = sum_l sum / sum_l n_l (section 5 of the paper), 1 for the same network, about 0 for unrelated ones. A and B as given: permute B before.
struct Alignment {
  double gamma = 0, value = 0;
  std::vector<LayerAlignment> layers;
};
Alignment MeasureAlignment(const std::vector<Decomposition>& a, const std::vector<Decomposition>& b, double gamma);

}  // namespace basin::merge
