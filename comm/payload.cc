#include "comm/payload.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "base/float8.h"
#include "base/half.h"

namespace basin::comm {
namespace {

/// The product with the scale is exact, and where it would overflow the type saturates anyway; only infinity must stay itself.
float Scaled(float value) { return std::isfinite(value) ? std::clamp(value, -1e30F, 1e30F) * kFloat8Scale : value; }

using Table = std::array<float, 256>;

template <typename Float8>
Table MakeTable() {
  Table table{};
  for (size_t code = 0; code < table.size(); ++code) table[code] = ToFloat(Float8{static_cast<uint8_t>(code)}) / kFloat8Scale;
  return table;
}

template <typename Visit>
void ForEach(int64_t n, Visit&& visit) {
  for (int64_t k = 0; k < n; ++k) visit(k);
}

void EncodeOnHost(const float* from, int64_t n, Payload payload, uint8_t* to) {
  switch (payload) {
    case Payload::kBFloat16:
      return ForEach(n, [&](int64_t k) {
        const uint16_t bits = base::ToBFloat16(from[k]).bits;
        std::memcpy(to + 2 * k, &bits, sizeof bits);
      });
    case Payload::kFloat8E4M3: return ForEach(n, [&](int64_t k) { to[k] = base::ToFloat8E4M3(Scaled(from[k])).bits; });
    case Payload::kFloat8E5M2: return ForEach(n, [&](int64_t k) { to[k] = base::ToFloat8E5M2(Scaled(from[k])).bits; });
    case Payload::kFloat32: break;
  }
  throw CheckFailed(Text("no rounding to payload ", static_cast<int>(payload)));
}

void DecodeOnHost(const uint8_t* from, int64_t n, Payload payload, float* to) {
  static const Table kE4M3 = MakeTable<base::Float8E4M3>(), kE5M2 = MakeTable<base::Float8E5M2>();
  if (payload == Payload::kBFloat16) {
    return ForEach(n, [&](int64_t k) {
      base::BFloat16 value;
      std::memcpy(&value.bits, from + 2 * k, sizeof value.bits);
      to[k] = ToFloat(value);
    });
  }
  const Table& table = payload == Payload::kFloat8E4M3 ? kE4M3 : kE5M2;
  ForEach(n, [&](int64_t k) { to[k] = table[from[k]]; });
}

torch::Dtype TypeOf(Payload payload) {
  return payload == Payload::kBFloat16 ? torch::kBFloat16 : payload == Payload::kFloat8E4M3 ? torch::kFloat8_e4m3fn : torch::kFloat8_e5m2;
}

/// The same by LibTorch's kernels, which do not saturate.
torch::Tensor EncodeOnDevice(const torch::Tensor& values, Payload payload) {
  if (payload == Payload::kBFloat16) return values.to(torch::kBFloat16).view(torch::kUInt8);
  const double largest = payload == Payload::kFloat8E4M3 ? 448 : 57344;
  const torch::Tensor scaled = values * kFloat8Scale;
  return torch::where(values.isinf(), scaled, scaled.clamp(-largest, largest)).to(TypeOf(payload)).view(torch::kUInt8);
}

}  // namespace

torch::Tensor Encode(const torch::Tensor& values, Payload payload) {
  const torch::NoGradGuard no_grad;
  if (payload == Payload::kFloat32) return values.view(torch::kUInt8);
  if (!values.is_cpu()) return EncodeOnDevice(values, payload);
  torch::Tensor bytes = at::empty({values.numel() * BytesOf(payload)}, torch::kUInt8);
  EncodeOnHost(values.const_data_ptr<float>(), values.numel(), payload, bytes.mutable_data_ptr<uint8_t>());
  return bytes;
}

torch::Tensor Decode(const torch::Tensor& bytes, Payload payload) {
  const torch::NoGradGuard no_grad;
  if (payload == Payload::kFloat32) return bytes.view(torch::kFloat32);
  if (!bytes.is_cpu()) {
    torch::Tensor values = bytes.view(TypeOf(payload)).to(torch::kFloat32);
    return payload == Payload::kBFloat16 ? values : values.div_(kFloat8Scale);
  }
  torch::Tensor values = at::empty({bytes.numel() / BytesOf(payload)}, torch::kFloat32);
  DecodeOnHost(bytes.const_data_ptr<uint8_t>(), values.numel(), payload, values.mutable_data_ptr<float>());
  return values;
}

torch::Tensor Rounded(const torch::Tensor& values, Payload payload) { return Decode(Encode(values, payload), payload); }

}  // namespace basin::comm
