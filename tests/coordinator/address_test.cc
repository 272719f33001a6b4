#include "coordinator/address.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "tests/support/message_of.h"

namespace basin::coordinator {
namespace {

TEST(Address, NamesNumbersAndBracketsAreUnderstood) {
  EXPECT_EQ(ParseAddress("127.0.0.1:7700", "x").host, "127.0.0.1");
  EXPECT_EQ(ParseAddress("node-3.example_net:1", "x").port, 1);
  EXPECT_EQ(ParseAddress("[::1]:0", "x").host, "::1");
  EXPECT_EQ(ParseAddress("[::1]:80", "x").text(), "[::1]:80");
  EXPECT_EQ(ParseAddress("localhost:65535", "x").text(), "localhost:65535");
}

TEST(Address, WhatIsNoAddressIsRefusedWithTheOptionsName) {
  for (const char* text : {"", "host", ":1", "host:", "host:x", "host:1x", "host:65536", "host:-1", "::1:80", "a b:1",
                           "unix:/tmp/x", "dns:///a:1", "[]:1"}) {
    const std::string message = test::MessageOf<ConfigError>([&] { ParseAddress(text, "--listen"); });
    EXPECT_THAT(message, testing::HasSubstr("--listen is '" + std::string(text) + "'"));
  }
}

TEST(Address, OnlyThisMachineIsLoopback) {
  for (const char* host : {"localhost", "127.0.0.1", "127.3.2.1", "::1"}) EXPECT_TRUE(IsLoopback(host)) << host;
  for (const char* host : {"0.0.0.0", "::", "10.0.0.1", "127.example.org", "localhost.example.org"})
    EXPECT_FALSE(IsLoopback(host)) << host;
}

}  // namespace
}  // namespace basin::coordinator
