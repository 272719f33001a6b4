// What a member reports of itself while it trains, under names that coordinator/metrics.h turns into series.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "comm/counting.h"
#include "coordinator/types.h"

namespace basin::trainer {

/// loss; bytes_sent, messages_sent by strategy; exchange_seconds as a histogram of Prometheus (buckets that count all durations up
/// to `le`). Counters start with the object.
class Measurements {
 public:
  explicit Measurements(std::string strategy) : strategy_(std::move(strategy)) {}

  void AddExchange(double seconds);
  std::vector<coordinator::Measurement> List(int64_t step, double loss, const comm::Ledger& ledger) const;

 private:
  struct Bound {
    double seconds;
    const char* le;
  };
  static constexpr std::array<Bound, 7> kBounds{{{1e-4, "0.0001"}, {1e-3, "0.001"}, {1e-2, "0.01"}, {0.1, "0.1"}, {1, "1"}, {10, "10"},
                                                 {std::numeric_limits<double>::infinity(), "+Inf"}}};

  std::string strategy_;
  std::array<int64_t, kBounds.size()> counts_{};
  double sum_ = 0;
};

}  // namespace basin::trainer
