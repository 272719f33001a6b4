#include "base/units.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "base/error.h"

namespace basin::base {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

TEST(Units, DurationsAreReadInSeconds) {
  EXPECT_EQ(ParseDuration("5ms"), 0.005);
  EXPECT_EQ(ParseDuration("50us"), 50e-6);
  EXPECT_EQ(ParseDuration("0ms"), 0);
  EXPECT_EQ(ParseDuration("1.5 s"), 1.5);
  EXPECT_EQ(ParseDuration("2min"), 120);
}

TEST(Units, RatesAreReadInBytesASecondAndKnowBitsFromBytes) {
  EXPECT_EQ(ParseRate("8bps"), 1);
  EXPECT_EQ(ParseRate("100Mbps"), 12.5e6);
  EXPECT_EQ(ParseRate("1Gbps"), 125e6);
  EXPECT_EQ(ParseRate("10MB/s"), 10e6);
  EXPECT_EQ(ParseRate("1 GB/s"), 1e9);
}

TEST(Units, SizesAreReadInBytesAndKnowPowersOf1000FromThoseOf1024) {
  EXPECT_EQ(ParseBytes("50MB"), 50e6);
  EXPECT_EQ(ParseBytes("2KB"), 2000);
  EXPECT_EQ(ParseBytes("2KiB"), 2048);
  EXPECT_EQ(ParseBytes("1.5GiB"), 1.5 * 1024 * 1024 * 1024);
  EXPECT_EQ(ParseBytes("0B"), 0);
}

/// Every text must be refused with these words, and with what is allowed.
void ExpectRefused(const std::function<double(std::string_view)>& parse, std::string_view text, const std::string& why) {
  EXPECT_THAT([&] { parse(text); }, ThrowsMessage<ConfigError>(testing::AllOf(HasSubstr("'" + std::string(text) + "'"), HasSubstr(why),
                                                                              HasSubstr("write a number and its unit"))));
}

TEST(Units, WhatIsNoQuantityIsRefusedWithTheReasonAndAnExample) {
  ExpectRefused(ParseDuration, "5", "no unit");
  ExpectRefused(ParseDuration, "", "does not begin with a number");
  ExpectRefused(ParseDuration, "fast", "does not begin with a number");
  ExpectRefused(ParseDuration, "5 Mbps", "unit 'Mbps' is not known");
  ExpectRefused(ParseDuration, "-5ms", "negative");
  ExpectRefused(ParseDuration, "-0ms", "negative");
  ExpectRefused(ParseDuration, "nanms", "not finite");
  ExpectRefused(ParseDuration, "infs", "not finite");
  ExpectRefused(ParseDuration, "1e999s", "not finite");
  ExpectRefused(ParseDuration, "1e308h", "not finite");
  ExpectRefused(ParseDuration, "5ms ", "unit 'ms ' is not known");
  ExpectRefused(ParseRate, "100", "no unit");
  ExpectRefused(ParseRate, "0Mbps", "above 0");
  ExpectRefused(ParseRate, "100MB", "unit 'MB' is not known");
  ExpectRefused(ParseRate, "100mbps", "unit 'mbps' is not known");
  ExpectRefused(ParseBytes, "50Mb", "unit 'Mb' is not known");
  EXPECT_THAT([] { ParseRate("100"); }, ThrowsMessage<ConfigError>(HasSubstr("such as 100Mbps (bps, kbps, Mbps, Gbps, Tbps, B/s, ")));
}

TEST(Units, WhatIsWrittenReadsBackAsTheSameDouble) {
  for (double x : {0.0, 0.005, 50e-6, 1.0 / 3.0, 1e-9, 123456.789, 0.1 + 0.2, 7.0e-5}) EXPECT_EQ(ParseDuration(DurationText(x)), x);
  for (double x : {12.5e6, 125e6, 1e9, 1.0 / 3.0, 99.0, 1.25e5}) EXPECT_EQ(ParseRate(RateText(x)), x);
  for (double x : {0.0, 50e6, 2048.0, 1.0 / 3.0, 1e15}) EXPECT_EQ(ParseBytes(BytesText(x)), x);
}

TEST(Units, TheShortestTextIsChosen) {
  EXPECT_EQ(DurationText(0.005), "5ms");
  EXPECT_EQ(DurationText(50e-6), "50us");
  EXPECT_EQ(RateText(12.5e6), "100Mbps");
  EXPECT_EQ(RateText(125e6), "1Gbps");
  EXPECT_EQ(BytesText(50e6), "50MB");
  EXPECT_EQ(BytesText(2048), "2KiB");
}

}  // namespace
}  // namespace basin::base
