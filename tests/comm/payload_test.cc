// Rounding on the way, set beside LibTorch's own conversions.
#include "comm/payload.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

#include "tests/support/random_bits.h"

namespace basin::comm {
namespace {

torch::Dtype TypeOf(Payload payload) {
  return payload == Payload::kBFloat16     ? torch::kBFloat16
         : payload == Payload::kFloat8E4M3 ? torch::kFloat8_e4m3fn
                                           : torch::kFloat8_e5m2;
}
/// LibTorch's scalar conversion of one value, which float8 scales and, unlike LibTorch, saturates.
uint16_t ByTorch(float value, Payload payload) {
  if (payload == Payload::kBFloat16) return c10::BFloat16(value).x;
  const float largest = payload == Payload::kFloat8E4M3 ? 448 : 57344;
  const float scaled = std::isfinite(value) ? std::clamp(value * 32, -largest, largest) : value;
  return payload == Payload::kFloat8E4M3 ? c10::Float8_e4m3fn(scaled).x : c10::Float8_e5m2(scaled).x;
}
torch::Tensor ByTorch(const torch::Tensor& values, Payload payload) {
  std::vector<uint8_t> bytes;
  for (const float value : std::span(values.const_data_ptr<float>(), values.numel())) {
    const uint16_t code = ByTorch(value, payload);
    bytes.push_back(static_cast<uint8_t>(code));
    if (BytesOf(payload) == 2) bytes.push_back(static_cast<uint8_t>(code >> 8));
  }
  return torch::from_blob(bytes.data(), {std::ssize(bytes)}, torch::kUInt8).clone();
}

torch::Tensor Floats(std::vector<uint32_t> bits) {
  return torch::from_blob(bits.data(), {std::ssize(bits)}, torch::kInt32).clone().view(torch::kFloat32);
}

class Payloads : public testing::TestWithParam<Payload> {
 protected:
  static void ExpectAsTorch(const torch::Tensor& values) {
    const torch::Tensor own = Encode(values, GetParam()), theirs = ByTorch(values, GetParam());
    ASSERT_TRUE(torch::equal(own, theirs)) << own.ne(theirs).sum() << " bytes differ";
  }
};

/// The result depends on sign, exponent and the upper seven fraction bits, and of the lower sixteen on where they lie beside the half
/// alone.
TEST_P(Payloads, RoundsAsTorchDoesWhateverTheBits) {
  for (const uint32_t low : {0U, 1U, 0x7FFFU, 0x8000U, 0x8001U, 0xFFFFU}) {
    std::vector<uint32_t> bits(1 << 16);
    for (uint32_t high = 0; high < bits.size(); ++high) bits[high] = high << 16 | low;
    ExpectAsTorch(Floats(bits));
  }
  ExpectAsTorch(test::RandomBits(1 << 20, 1, 1));
}

TEST_P(Payloads, ComesBackAsTorchReadsIt) {
  const torch::Tensor values = test::RandomNormal(10'000, 2, 0);
  torch::Tensor read = Encode(values, GetParam()).view(TypeOf(GetParam())).to(torch::kFloat32);
  if (GetParam() != Payload::kBFloat16) read = read / 32;
  EXPECT_TRUE(test::SameBits(Rounded(values, GetParam()), read));
}

TEST_P(Payloads, ChangesNothingTheSecondTime) {
  const torch::Tensor once = Rounded(test::RandomBits(100'000, 3, 0).nan_to_num(0), GetParam());
  EXPECT_TRUE(test::SameBits(Rounded(once, GetParam()), once));
}

TEST_P(Payloads, TakesTheBytesThatItPromises) {
  for (const int64_t n : {0, 1, 1013}) EXPECT_EQ(Encode(torch::zeros({n}), GetParam()).numel(), n * BytesOf(GetParam()));
}

TEST_P(Payloads, KeepsTheSignificantBitsThatItPromises) {
  struct Reach {
    double relative, low, high;
  };
  // Half of the last of 8, 4 or 3 significant bits, from the smallest normal number on, which the scale of float8 lowers by 2^5.
  const Reach reach = GetParam() == Payload::kBFloat16     ? Reach{0x1p-8, 0x1p-126, 1e38}
                      : GetParam() == Payload::kFloat8E4M3 ? Reach{0x1p-4, 0x1p-11, 14}
                                                           : Reach{0x1p-3, 0x1p-19, 1792};
  for (double x = reach.low; x < reach.high; x *= 1.037) {
    const double back = Rounded(torch::full({1}, x, torch::kFloat32), GetParam()).item<double>();
    ASSERT_LE(std::abs(back - x), reach.relative * x * (1 + 1e-6)) << x;  // 1e-6: x is rounded to float32 first
  }
}

INSTANTIATE_TEST_SUITE_P(All, Payloads, testing::Values(Payload::kBFloat16, Payload::kFloat8E4M3, Payload::kFloat8E5M2),
                         [](const auto& p) {
                           return std::string(p.param == Payload::kBFloat16     ? "bfloat16"
                                              : p.param == Payload::kFloat8E4M3 ? "float8_e4m3"
                                                                                : "float8_e5m2");
                         });

TEST(Float32Payload, SharesTheMemoryOfTheValues) {
  const torch::Tensor values = test::RandomBits(9, 4, 0), bytes = Encode(values, Payload::kFloat32);
  EXPECT_EQ(bytes.data_ptr(), values.data_ptr());
  EXPECT_EQ(Decode(bytes, Payload::kFloat32).data_ptr(), values.data_ptr());
  EXPECT_EQ(bytes.numel(), 9 * BytesOf(Payload::kFloat32));
}

}  // namespace
}  // namespace basin::comm
