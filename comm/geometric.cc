// The inner loops of a draw, written so that the compiler turns them into vector instructions. The
// arithmetic is IEEE without fused steps, so every instruction set gives the same bits.
#include "comm/geometric.h"

namespace basin::comm {
namespace {

#define BASIN_INLINE __attribute__((always_inline)) inline

constexpr int kBlocks = GeometricSkips::kBatch / 2;  // a block of 128 bits holds two uniforms

/// Words 2 j and 2 j + 1 of a batch lie in [0][j] and [1][j].
using Words = std::array<std::array<uint64_t, kBlocks>, 2>;

/// Where a batch lies in its stream, and the scale of its skips.
struct Draw {
  const std::array<uint32_t, 2>& key;
  const std::array<uint32_t, 2>& upper_counter;
  uint64_t first_block;
  double scale;
};

/// base::Philox4x32 of all blocks side by side. The 32-bit words lie in 64 bits, as the vector
/// multiplication wants them; what is above the low half of c1, c3 and the keys is never used.
BASIN_INLINE void DrawBlocks(const Draw& draw, Words& words) {
  constexpr uint64_t kLow = 0xffffffff;
  for (uint64_t j = 0; j < kBlocks; ++j) {
    uint64_t c0 = draw.first_block + j, c1 = (draw.first_block + j) >> 32;
    uint64_t c2 = draw.upper_counter[0], c3 = draw.upper_counter[1];
    uint64_t k0 = draw.key[0], k1 = draw.key[1];
    for (int round = 0; round < 10; ++round) {
      const uint64_t product0 = 0xD2511F53 * (c0 & kLow), product1 = 0xCD9E8D57 * (c2 & kLow);
      c0 = product1 >> 32 ^ c1 ^ k0;
      c1 = product1;
      c2 = product0 >> 32 ^ c3 ^ k1;
      c3 = product0;
      k0 += 0x9E3779B9;
      k1 += 0xBB67AE85;
    }
    words[0][j] = c0 << 32 | (c1 & kLow);
    words[1][j] = c2 << 32 | (c3 & kLow);
  }
}

BASIN_INLINE int64_t Skip(uint64_t word, double scale) {
  const double skip = geometric::MinusLogOfUniform((word >> 11) + 1) * scale;
  constexpr double kHuge = GeometricSkips::kHuge;
  const double bounded = skip < kHuge ? skip : kHuge;  // so that NaN is huge as well
  // The whole part, by rounding at the place of the ones in 2^52.
  const double nearest = (bounded + 0x1p52) - 0x1p52;
  const double whole = nearest > bounded ? nearest - 1 : nearest;
  return std::bit_cast<int64_t>(whole + 0x1p52) & ((int64_t{1} << 52) - 1);
}

BASIN_INLINE void FillBatch(const Draw& draw, int64_t* skips) {
  Words words;
  DrawBlocks(draw, words);
  for (int j = 0; j < kBlocks; ++j) {
    skips[2 * j] = Skip(words[0][j], draw.scale);
    skips[2 * j + 1] = Skip(words[1][j], draw.scale);
  }
}

void FillOnAnyCpu(const Draw& draw, int64_t* skips) { FillBatch(draw, skips); }

#if defined(__x86_64__)
__attribute__((target("avx2"))) void FillWithAvx2(const Draw& draw, int64_t* skips) {
  FillBatch(draw, skips);
}
__attribute__((target("avx512f,avx512dq"))) void FillWithAvx512(const Draw& draw, int64_t* skips) {
  FillBatch(draw, skips);
}
const auto fill = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq")
                      ? FillWithAvx512
                  : __builtin_cpu_supports("avx2") ? FillWithAvx2
                                                   : FillOnAnyCpu;
#else
const auto fill = FillOnAnyCpu;
#endif

}  // namespace

GeometricSkips::GeometricSkips(const base::StreamId& id, double rate)
    : scale_(1 / geometric::MinusLogOfComplement(rate)) {
  // The construction that base::Stream documents.
  const auto low = [](uint64_t x) { return static_cast<uint32_t>(x); };
  const auto high = [](uint64_t x) { return static_cast<uint32_t>(x >> 32); };
  const auto root = base::Philox4x32({low(static_cast<uint64_t>(id.purpose)), 0, 0, 0},
                                     {low(id.run_seed), high(id.run_seed)});
  const auto leaf =
      base::Philox4x32({low(id.a), high(id.a), low(id.b), high(id.b)}, {root[0], root[1]});
  key_ = {leaf[0], leaf[1]};
  upper_counter_ = {leaf[2], leaf[3]};
}

const std::array<int64_t, GeometricSkips::kBatch>& GeometricSkips::Next() {
  fill({key_, upper_counter_, block_, scale_}, skips_.data());
  block_ += kBlocks;
  return skips_;
}

}  // namespace basin::comm
