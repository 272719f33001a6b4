// In which numbers values travel: as they are, or rounded to fewer bytes. What stays at home is never rounded.
#pragma once

#include <torch/types.h>

#include <cstdint>

namespace basin::comm {

enum class Payload { kFloat32, kBFloat16, kFloat8E4M3, kFloat8E5M2 };

/// Of one value.
constexpr int64_t BytesOf(Payload payload) {
  return payload == Payload::kFloat32 ? 4 : payload == Payload::kBFloat16 ? 2 : 1;
}

/// Values are multiplied by this power of two before they become float8, and divided by it on arrival, so that weights lie where the
/// types are fine: e4m3 keeps 4 significant bits from 2^-11 to 14 and steps of 2^-14 below, e5m2 3 bits from 2^-19 to 1792. It is the
/// same on both sides, so it costs no byte; larger values become the largest.
inline constexpr float kFloat8Scale = 32;

/// uint8 [n BytesOf(payload)] on the device of `values`, float32 [n]: each the nearest value of the payload, ties to even, by base/half.h
/// and base/float8.h (bfloat16 overflows to infinity, float8 to its largest). Float32 shares the memory of `values`.
torch::Tensor Encode(const torch::Tensor& values, Payload payload);
/// float32 [n] from uint8 [n BytesOf(payload)]; exact. Float32 shares the memory of `bytes`.
torch::Tensor Decode(const torch::Tensor& bytes, Payload payload);
/// What arrives when `values` are sent; float32: `values` itself.
torch::Tensor Rounded(const torch::Tensor& values, Payload payload);

}  // namespace basin::comm
