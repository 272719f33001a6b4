// A linear layer whose backward adds the weight's gradient where it has to end.
#pragma once

#include <torch/types.h>

namespace basin::models {

/// torch::linear(x, weight, bias), x [n, in]; same values (models/linear_product.h) and derivatives of every order. LibTorch computes a weight's gradient
/// into fresh memory and then adds that to .grad: for a network of large matrices two passes over all its weights, a tenth of
/// a step. Here the matrix product of an ordinary backward() adds to .grad itself. Where anybody could see a difference
/// (gradients asked for by torch::autograd::grad, create_graph, hooks on the weight, autocast, a GPU) LibTorch's way is taken.
torch::Tensor AccumulatingLinear(const torch::Tensor& x, const torch::Tensor& weight, const torch::Tensor& bias);

}  // namespace basin::models
