// Float vectors with arbitrary bits: what moves values must not care what they mean.
#pragma once

#include <torch/types.h>

#include "base/seed.h"

namespace basin::test {

/// float32 [n], every bit random: NaN payloads, infinities, denormals and -0.0 among them. A pure
/// function of its arguments.
inline torch::Tensor RandomBits(int64_t n, uint64_t seed, uint64_t member) {
  base::Stream stream({.run_seed = seed, .purpose = base::Purpose::kTest, .a = member});
  torch::Tensor bits = torch::empty({n}, torch::kInt32);
  for (int32_t& value : std::span(bits.data_ptr<int32_t>(), n))
    value = static_cast<int32_t>(stream.NextU32());
  // Kinds that matter often enough in short vectors.
  if (n > 0) bits[0] = static_cast<int32_t>(0x80000000u);           // -0.0
  if (n > 1) bits[1] = static_cast<int32_t>(0x7fa00000u + member);  // a signalling NaN
  if (n > 2) bits[2] = static_cast<int32_t>(0xffc00000u + member);  // a quiet NaN with a payload
  return bits.view(torch::kFloat32);
}

/// float32 [n], standard normal.
inline torch::Tensor RandomNormal(int64_t n, uint64_t seed, uint64_t member) {
  base::Stream stream({.run_seed = seed, .purpose = base::Purpose::kTest, .a = member, .b = 1});
  torch::Tensor values = torch::empty({n});
  for (float& value : std::span(values.data_ptr<float>(), n))
    value = static_cast<float>(stream.NextNormal());
  return values;
}

/// Equal bit for bit: NaN equals the same NaN, 0.0 differs from -0.0.
inline bool SameBits(const torch::Tensor& a, const torch::Tensor& b) {
  return torch::equal(a.view(torch::kInt32), b.view(torch::kInt32));
}

}  // namespace basin::test
