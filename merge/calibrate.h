// Mending a merged network without activations: its biases (arXiv 2402.05966, "vanishing feature" version) and its
// temperature (arXiv 2510.08023).
#pragma once

#include <torch/types.h>

#include <span>

#include "models/classifier.h"
#include "models/state_dict.h"

namespace basin::merge {

/// Data-free bias calibration. Scaling all weights of a bias-free ReLU network by s scales its output at depth h by s^h, so
/// merged biases are too large for the shrunken activations: the bias at depth h (weight tensors up to and including this
/// layer) becomes sum_i w_i^h b_i; for two networks (1-l)^h b_1 + l^h b_2. Weight tensors stay. Empty weights: all 1/n.
/// ConfigError for a network that is not a plain chain of layers with biases: norm layers, residual connections.
void CalibrateBiases(models::Classifier& merged, std::span<const models::StateDict> parents, std::span<const double> weights = {});

/// Zeroes the biases of the last `count` layers, the classifier included (the removal variant; count is chosen on a
/// validation set). ConfigError: the network has fewer layers.
void RemoveLastBiases(models::Classifier& model, int64_t count);

/// T > 0 with the smallest mean cross-entropy of logits / T, in [1e-3, 1e3], by bisection on the derivative in 1/T, in which
/// the loss is convex. logits [n, classes], labels int64 [n], n >= 1.
double FindTemperature(const torch::Tensor& logits, const torch::Tensor& labels);
/// Divides the classifier's weight and bias by `temperature`, so that logits become logits / T.
void ApplyTemperature(models::Classifier& model, double temperature);

}  // namespace basin::merge
