// Every random number in Basin is drawn from here: a counter-based generator keyed by
// (run seed, purpose, and up to three counters). No stream depends on call order, threads or ranks.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace basin::base {

/// Philox-4x32-10 (Salmon et al., SC'11, "Parallel random numbers: as easy as 1, 2, 3"; Random123).
/// Pure function: the 128-bit block for this counter and key.
std::array<uint32_t, 4> Philox4x32(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key);

/// What a stream is for. Values are part of the reproducibility contract: append, never renumber.
enum class Purpose : uint32_t {
  kInitialWeights = 1,
  kDataOrder = 2,
  kAugment = 3,
  kAugmentPool = 4,
  kValidationSplit = 5,
  kSelect = 6,    ///< which coordinates an exchange touches
  kPermute = 7,   ///< the permutation of the members at each selected coordinate
  kPairing = 8,   ///< random pairs of members (gossip, papa-2)
  kRecalibrate = 9,
  kTest = 10,     ///< tests and benches
  kDropout = 11,
  kMatchOrder = 12,  ///< in which order weight matching visits the layers (a: start, b: sweep) and many networks (a: round)
  kMatchImages = 13,  ///< the training images that alignment looks at (a: epoch)
  kSketch = 14,  ///< signs of the random sums that estimate the consensus distance (a: step)
};

/// Names one stream. Counters that a purpose does not need stay 0.
struct StreamId {
  uint64_t run_seed = 0;
  Purpose purpose = Purpose::kTest;
  uint64_t a = 0;  ///< e.g. exchange number, epoch, step
  uint64_t b = 0;  ///< e.g. tensor index, member
};

/// A sequential reader of one stream. Cheap to make (tens of ns); copyable; not thread-safe.
///
/// Construction, part of the reproducibility contract (words are 32 bits, low word first):
///   root  = Philox(counter = {purpose, 0, 0, 0},     key = run_seed)
///   leaf  = Philox(counter = {a, b},                 key = {root[0], root[1]})
///   block = Philox(counter = {i, leaf[2], leaf[3]},  key = {leaf[0], leaf[1]}) for i = 0, 1, ... (64 bits)
/// and the stream is the words of the blocks in order. For a fixed key Philox is a bijection of its counter, so two
/// ids of one run and purpose never share a (key, upper counter) pair: their streams cannot overlap. Across purposes
/// and run seeds the 128-bit pairs agree with probability 2^-128 (2^-64 that a whole purpose coincides).
class Stream {
 public:
  explicit Stream(const StreamId& id);

  uint32_t NextU32() {
    if (used_ == 4) Refill();
    return block_[used_++];
  }
  uint64_t NextU64() {
    const uint64_t high = NextU32();  // a statement of its own: operands of | have no order
    return high << 32 | NextU32();
  }
  /// Uniform in [0, 1) with 53 random bits.
  double NextDouble() { return static_cast<double>(NextU64() >> 11) * 0x1.0p-53; }
  /// Uniform in (0, 1]: safe as an argument of log. 53 random bits.
  double NextDoubleOpen0() { return static_cast<double>((NextU64() >> 11) + 1) * 0x1.0p-53; }
  /// Uniform in [0, bound), without modulo bias (Lemire's multiply-and-reject). bound >= 1.
  uint32_t NextBelow(uint32_t bound) {
    const uint64_t product = uint64_t{NextU32()} * bound;
    // True for one draw in 2^32 / bound, and always for the forbidden bound 0.
    if (static_cast<uint32_t>(product) <= bound - 1) [[unlikely]] return Reject(product, bound);
    return static_cast<uint32_t>(product >> 32);
  }
  /// Standard normal (Box-Muller, both values used in turn).
  double NextNormal();
  /// Gamma(shape, 1), shape > 0 (Marsaglia and Tsang 2000). For Beta(a, a) of mixup and CutMix.
  double NextGamma(double shape);
  double NextBeta(double a, double b);
  bool NextBernoulli(double p) { return NextDouble() < p; }

 private:
  void Refill();
  uint32_t Reject(uint64_t product, uint32_t bound);
  std::array<uint32_t, 2> key_;
  std::array<uint32_t, 4> counter_;
  std::array<uint32_t, 4> block_{};
  int used_ = 4;
  double spare_normal_ = 0;
  bool has_spare_normal_ = false;
};

/// A uniform permutation of 0..n-1 (Fisher-Yates), a pure function of the stream id.
std::vector<int64_t> RandomPermutation(int64_t n, const StreamId& id);

}  // namespace basin::base
