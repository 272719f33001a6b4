// Tensors drawn from base/seed.h, for tests.
#pragma once

#include <torch/types.h>

#include <vector>

#include "base/seed.h"

namespace basin::test {

/// Standard normal numbers, float64, a function of the stream's state alone.
inline torch::Tensor NormalTensor(const std::vector<int64_t>& shape, base::Stream& stream) {
  torch::Tensor tensor = torch::empty(shape, torch::kFloat64);
  double* values = tensor.mutable_data_ptr<double>();
  for (int64_t i = 0; i < tensor.numel(); ++i) values[i] = stream.NextNormal();
  return tensor;
}

}  // namespace basin::test
