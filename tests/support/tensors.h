// Random tensors for tests, from base/seed like every other random number.
#pragma once

#include <torch/types.h>

#include <vector>

#include "base/seed.h"

namespace basin::tests {

/// Standard normal float32, a pure function of shape and seed.
inline torch::Tensor RandomTensor(const std::vector<int64_t>& shape, uint64_t seed) {
  base::Stream stream({seed, base::Purpose::kTest});
  torch::Tensor tensor = torch::empty(shape);
  float* values = tensor.mutable_data_ptr<float>();
  for (int64_t i = 0; i < tensor.numel(); ++i) values[i] = static_cast<float>(stream.NextNormal());
  return tensor;
}

/// max |a - b| / max |b|
inline double RelativeDifference(const torch::Tensor& a, const torch::Tensor& b) {
  const torch::Tensor exact = b.to(torch::kFloat64);
  return ((a.to(torch::kFloat64) - exact).abs().max() / exact.abs().max()).item<double>();
}

}  // namespace basin::tests
