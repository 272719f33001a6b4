#include "base/seed.h"

#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>
#include <utility>

#include "base/error.h"

namespace basin::base {
namespace {

constexpr uint32_t Low(uint64_t value) { return static_cast<uint32_t>(value); }
constexpr uint32_t High(uint64_t value) { return static_cast<uint32_t>(value >> 32); }

// log of a Gamma(shape, 1) variate. In logarithms, because for a small shape the variate itself
// underflows to 0.
double LogGammaVariate(Stream& stream, double shape) {
  BASIN_CHECK(shape > 0 && std::isfinite(shape), "gamma shape ", shape, "; allowed: above 0");
  if (shape < 1) {  // Gamma(shape) = Gamma(shape + 1) * U^(1/shape)
    const double boosted = LogGammaVariate(stream, shape + 1);
    return boosted + std::log(stream.NextDoubleOpen0()) / shape;
  }
  const double d = shape - 1.0 / 3.0;
  const double c = 1.0 / std::sqrt(9.0 * d);
  while (true) {
    const double x = stream.NextNormal();
    const double root = 1.0 + c * x;
    if (root <= 0) continue;
    const double v = root * root * root;
    const double log_u = std::log(stream.NextDoubleOpen0());
    if (log_u < 0.5 * x * x + d - d * v + d * std::log(v)) return std::log(d * v);
  }
}

}  // namespace

std::array<uint32_t, 4> Philox4x32(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key) {
  constexpr uint64_t kMultiplier0 = 0xD2511F53;
  constexpr uint64_t kMultiplier1 = 0xCD9E8D57;
  constexpr uint32_t kWeyl0 = 0x9E3779B9;  // golden ratio
  constexpr uint32_t kWeyl1 = 0xBB67AE85;  // sqrt(3) - 1
  for (int round = 0; round < 10; ++round) {
    const uint64_t product0 = kMultiplier0 * counter[0];
    const uint64_t product1 = kMultiplier1 * counter[2];
    counter = {High(product1) ^ counter[1] ^ key[0], Low(product1),
               High(product0) ^ counter[3] ^ key[1], Low(product0)};
    key[0] += kWeyl0;
    key[1] += kWeyl1;
  }
  return counter;
}

Stream::Stream(const StreamId& id) {
  const auto root = Philox4x32({static_cast<uint32_t>(id.purpose), 0, 0, 0},
                               {Low(id.run_seed), High(id.run_seed)});
  const auto leaf = Philox4x32({Low(id.a), High(id.a), Low(id.b), High(id.b)}, {root[0], root[1]});
  key_ = {leaf[0], leaf[1]};
  counter_ = {0, 0, leaf[2], leaf[3]};
}

void Stream::Refill() {
  block_ = Philox4x32(counter_, key_);
  used_ = 0;
  if (++counter_[0] == 0) ++counter_[1];
}

uint32_t Stream::Reject(uint64_t product, uint32_t bound) {
  BASIN_CHECK(bound >= 1, "there is no number below 0");
  const uint32_t threshold =
      -bound % bound;  // 2^32 mod bound: this many low words would be drawn too often
  while (Low(product) < threshold) product = uint64_t{NextU32()} * bound;
  return High(product);
}

double Stream::NextNormal() {
  if (has_spare_normal_) {
    has_spare_normal_ = false;
    return spare_normal_;
  }
  const double radius = std::sqrt(-2.0 * std::log(NextDoubleOpen0()));
  const double angle = 2.0 * std::numbers::pi * NextDouble();
  spare_normal_ = radius * std::sin(angle);
  has_spare_normal_ = true;
  return radius * std::cos(angle);
}

double Stream::NextGamma(double shape) { return std::exp(LogGammaVariate(*this, shape)); }

double Stream::NextBeta(double a, double b) {
  const double log_x = LogGammaVariate(*this, a);
  const double log_y = LogGammaVariate(*this, b);
  return 1.0 / (1.0 + std::exp(log_y - log_x));  // x / (x + y); exp may be inf or 0, both are right
}

std::vector<int64_t> RandomPermutation(int64_t n, const StreamId& id) {
  BASIN_CHECK(n >= 0 && n <= int64_t{std::numeric_limits<uint32_t>::max()}, "permutation of ", n,
              " elements");
  std::vector<int64_t> order(static_cast<size_t>(n));
  std::iota(order.begin(), order.end(), int64_t{0});
  Stream stream(id);
  for (size_t i = order.size(); i > 1; --i)
    std::swap(order[i - 1], order[stream.NextBelow(static_cast<uint32_t>(i))]);
  return order;
}

}  // namespace basin::base
