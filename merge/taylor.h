// The barrier that closeness alone would predict: the loss on the line between two networks, from its second-order expansion
// about both ends (the argument of arXiv 2402.04051, section 3: it does not predict the true one).
#pragma once

#include <functional>

#include "models/classifier.h"
#include "models/state_dict.h"

namespace basin::merge {

/// Calls its argument with images and labels of each batch.
using LabelledBatches = std::function<void(const std::function<void(const torch::Tensor& images, const torch::Tensor& labels)>&)>;
/// Mean loss of a batch, a scalar with a gradient to the logits.
using LossOfLogits = std::function<torch::Tensor(const torch::Tensor& logits, const torch::Tensor& labels)>;

/// Of the mean loss L over all images at one end of the line, along mu = theta_b - theta_a (trainable tensors).
struct LineEnd {
  double loss = 0;
  double slope = 0;      ///< mu^T g
  double curvature = 0;  ///< mu^T H mu, by double backward: one Hessian-vector product, no Hessian
};
/// `at` is a or b; `model` is scratch space for its weights. Eval mode: batch norm uses the network's own running statistics,
/// which are constants here. DataError when a and b do not match.
LineEnd MeasureLineEnd(models::Classifier& model, const models::StateDict& at, const models::StateDict& a, const models::StateDict& b,
                       const LabelledBatches& batches, const LossOfLogits& loss);

/// B(l) = l (1 - l) [mu^T (g_a - g_b) + 1/2 mu^T (l H_a + (1 - l) H_b) mu] + O(|mu|^3): (1 - l) times the expansion about a plus
/// l times that about b, minus the chord. Exact where both Hessians are the same and the loss is quadratic.
double TaylorBarrier(const LineEnd& a, const LineEnd& b, double lambda);

}  // namespace basin::merge
