#include "trainer/measurements.h"

namespace basin::trainer {

void Measurements::AddExchange(double seconds) {
  sum_ += seconds;
  for (size_t k = 0; k < kBounds.size(); ++k) counts_[k] += seconds <= kBounds[k].seconds;
}

std::vector<coordinator::Measurement> Measurements::List(int64_t step, double loss, const comm::Ledger& ledger) const {
  const std::string by_strategy = "/strategy:" + strategy_;
  std::vector<coordinator::Measurement> list{
      {"loss", loss, step},
      {"bytes_sent" + by_strategy, static_cast<double>(ledger.payload_bytes), step},
      {"messages_sent" + by_strategy, static_cast<double>(ledger.messages), step},
      {"exchange_seconds_sum", sum_, step},
      {"exchange_seconds_count", static_cast<double>(counts_.back()), step},
  };
  for (size_t k = 0; k < kBounds.size(); ++k) {
    list.push_back({std::string("exchange_seconds_bucket/le:") + kBounds[k].le, static_cast<double>(counts_[k]), step});
  }
  return list;
}

}  // namespace basin::trainer
