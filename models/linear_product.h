// The matrix product of a linear layer on the CPU, by the fastest library that LibTorch carries.
#pragma once

#include <torch/types.h>

namespace basin::models {

/// x weight^T + bias: x [n, in], weight [out, in], bias [out] or undefined -> [n, out]. Any strides. Outside of autograd: the
/// result has no gradient.
///
/// LibTorch's linear and mm go to MKL, which holds back on processors that are not Intel's: there oneDNN, which LibTorch carries
/// for convolutions, multiplies float32 matrices at more than twice the speed (bench/lmc_curve.sh). Products too small for its
/// overhead, other dtypes and devices take LibTorch's way. Equal up to the order of the sums.
torch::Tensor LinearProduct(const torch::Tensor& x, const torch::Tensor& weight, const torch::Tensor& bias = {});

}  // namespace basin::models
