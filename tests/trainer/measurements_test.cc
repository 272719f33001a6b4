#include "trainer/measurements.h"

#include <gtest/gtest.h>

#include <map>

namespace basin::trainer {
namespace {

std::map<std::string, double> Named(const std::vector<coordinator::Measurement>& list) {
  std::map<std::string, double> named;
  for (const auto& measurement : list) named[measurement.name] = measurement.value;
  return named;
}

TEST(Measurements, TellLossAndWhatTheLedgerCounted) {
  const auto named = Named(Measurements("wash").List(7, 0.5, {.payload_bytes = 1200, .messages = 3}));
  EXPECT_EQ(named.at("loss"), 0.5);
  EXPECT_EQ(named.at("bytes_sent/strategy:wash"), 1200);
  EXPECT_EQ(named.at("messages_sent/strategy:wash"), 3);
}

TEST(Measurements, CountExchangesUpToEachBound) {
  Measurements measurements("papa");
  for (const double seconds : {0.0005, 0.001, 0.05, 20.0}) measurements.AddExchange(seconds);
  const auto named = Named(measurements.List(7, 0, {}));
  EXPECT_EQ(named.at("exchange_seconds_bucket/le:0.0001"), 0);
  EXPECT_EQ(named.at("exchange_seconds_bucket/le:0.001"), 2) << "a bound belongs to its bucket";
  EXPECT_EQ(named.at("exchange_seconds_bucket/le:0.01"), 2);
  EXPECT_EQ(named.at("exchange_seconds_bucket/le:0.1"), 3);
  EXPECT_EQ(named.at("exchange_seconds_bucket/le:10"), 3);
  EXPECT_EQ(named.at("exchange_seconds_bucket/le:+Inf"), 4);
  EXPECT_EQ(named.at("exchange_seconds_count"), 4);
  EXPECT_DOUBLE_EQ(named.at("exchange_seconds_sum"), 20.0515);
}

}  // namespace
}  // namespace basin::trainer
