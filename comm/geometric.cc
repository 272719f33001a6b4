// The inner loops of a draw, written so that the compiler turns them into vector instructions. The
// arithmetic is IEEE without fused steps, so every instruction set gives the same bits.
#include "comm/geometric.h"

namespace basin::comm {
namespace {

// The best version for the processor is chosen when the program is loaded. Sanitizers cannot run
// that early.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define BASIN_FOR_EACH_CPU __attribute__((target_clones("arch=x86-64-v4", "default")))
#else
#define BASIN_FOR_EACH_CPU
#endif

constexpr int kBlocks = GeometricSkips::kBatch / 2;  // a block of 128 bits holds two uniforms

struct Lanes {
  std::array<uint32_t, kBlocks> word[4];
};

/// Blocks number `first`, first + 1, ... of a stream: base::Philox4x32, all lanes side by side.
BASIN_FOR_EACH_CPU void DrawBlocks(uint64_t first, const std::array<uint32_t, 2>& upper_counter,
                                   const std::array<uint32_t, 2>& key, Lanes& lanes) {
  for (int j = 0; j < kBlocks; ++j) {
    uint32_t c0 = static_cast<uint32_t>(first + j), c1 = static_cast<uint32_t>((first + j) >> 32);
    uint32_t c2 = upper_counter[0], c3 = upper_counter[1], k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; ++round) {
      const uint64_t product0 = uint64_t{0xD2511F53} * c0, product1 = uint64_t{0xCD9E8D57} * c2;
      c0 = static_cast<uint32_t>(product1 >> 32) ^ c1 ^ k0;
      c1 = static_cast<uint32_t>(product1);
      c2 = static_cast<uint32_t>(product0 >> 32) ^ c3 ^ k1;
      c3 = static_cast<uint32_t>(product0);
      k0 += 0x9E3779B9;
      k1 += 0xBB67AE85;
    }
    lanes.word[0][j] = c0;
    lanes.word[1][j] = c1;
    lanes.word[2][j] = c2;
    lanes.word[3][j] = c3;
  }
}

inline int64_t Skip(uint32_t high, uint32_t low, double scale) {
  const uint64_t k = ((uint64_t{high} << 32 | low) >> 11) + 1;
  const double skip = geometric::MinusLogOfUniform(k) * scale;
  constexpr double kHuge = GeometricSkips::kHuge;
  return static_cast<int64_t>(skip < kHuge ? skip : kHuge);  // so that NaN is huge as well
}

BASIN_FOR_EACH_CPU void ToSkips(const Lanes& lanes, double scale, int64_t* skips) {
  for (int j = 0; j < kBlocks; ++j) {
    skips[2 * j] = Skip(lanes.word[0][j], lanes.word[1][j], scale);
    skips[2 * j + 1] = Skip(lanes.word[2][j], lanes.word[3][j], scale);
  }
}

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
  Lanes lanes;
  DrawBlocks(block_, upper_counter_, key_, lanes);
  ToSkips(lanes, scale_, skips_.data());
  block_ += kBlocks;
  return skips_;
}

}  // namespace basin::comm
