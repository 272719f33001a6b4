#include "comm/link.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "comm/communicator.h"

namespace basin::comm {
namespace {

using testing::DoubleEq;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::ThrowsMessage;

constexpr Link kLink{.latency = 0.25, .bytes_per_second = 8};  // powers of two: the sums below are exact

TEST(Link, IsReadFromARateAndALatencyInAnyOrder) {
  const Link link{.latency = 50e-6, .bytes_per_second = 125e6};
  EXPECT_EQ(ParseLink("1Gbps,50us"), link);
  EXPECT_EQ(ParseLink("50us, 1Gbps"), link);
  EXPECT_EQ(ParseLink("125MB/s,50us"), link);
  EXPECT_EQ(LinkText(link), "1Gbps,50us");
}

TEST(Link, WhatIsNoLinkIsRefused) {
  for (const char* text : {"", "1Gbps", "1Gbps,50us,2", "50us,50us", "1Gbps,1Gbps", "fast,slow", "0Mbps,5ms", "1Gbps,-5ms"}) {
    EXPECT_THROW(ParseLink(text), ConfigError) << text;
  }
  EXPECT_THAT([] { ParseLink("1Gbps"); }, ThrowsMessage<ConfigError>(HasSubstr("such as 1Gbps,50us")));
}

TEST(Link, OneMessageTakesItsLatencyAndItsBytes) {
  EXPECT_THAT(RoundEnds(kLink, std::vector<double>{0, 0}, {{0, 1, 4}}), ElementsAre(0.5, 0.75));
}

TEST(Link, MessagesOfOneSenderShareItsLineAndOneLatency) {
  EXPECT_THAT(RoundEnds(kLink, std::vector<double>{0, 0, 0}, {{0, 1, 8}, {0, 2, 8}}), ElementsAre(2, 1.25, 2.25));
}

TEST(Link, MessagesToOneReceiverShareItsLine) {
  EXPECT_THAT(RoundEnds(kLink, std::vector<double>{0, 0, 0}, {{1, 0, 8}, {2, 0, 16}}), ElementsAre(3.25, 1, 2));
}

TEST(Link, BothDirectionsRunAtOnce) {
  EXPECT_THAT(RoundEnds(kLink, std::vector<double>{0, 0}, {{0, 1, 8}, {1, 0, 8}}), ElementsAre(1.25, 1.25));
}

TEST(Link, ALateSenderHoldsUpItsReceiverAndALateReceiverNobody) {
  // Rank 1 begins at 10: what rank 0 has sent waits for it, taken in; its own message arrives at 10 + 1/4 + 1.
  EXPECT_THAT(RoundEnds(kLink, std::vector<double>{0, 10, 0, 0}, {{0, 1, 8}, {1, 0, 8}, {2, 3, 8}, {3, 2, 8}}),
              ElementsAre(11.25, 11, 1.25, 1.25));
}

TEST(Link, ASumOfDenseVectorsTakesTwoLatenciesAndTheBytesOfTheFormula) {
  for (int size : {2, 4, 8}) {
    // 2 (N - 1) / N n bytes leave each rank (docs/strategies.md).
    const double expected = 2 * 0.25 + 2.0 * (size - 1) / size * 64 * 4 / 8;
    EXPECT_THAT(RoundsEnd(kLink, std::vector<double>(size, 0), AllReduceRounds(size, 64, 4)), Each(DoubleEq(expected))) << size;
  }
}

TEST(Link, ARingTakesTheSameBytesAndOneLatencyARound) {
  for (int size : {2, 3, 8}) {
    const double expected = 2 * (size - 1) * (0.25 + 24.0 * 4 / size / 8);
    EXPECT_THAT(RoundsEnd(kLink, std::vector<double>(size, 0), AllReduceRounds(size, 24, 4, /*ring=*/true)),
                Each(testing::DoubleNear(expected, 1e-12)))  // a few dozen additions of doubles
        << size;
  }
}

TEST(Link, TheRoundsOfASumCarryWhatTheContractSays) {
  for (int size : {1, 2, 3, 5}) {
    for (int64_t n : {0, 1, 3, 7}) {
      double bytes = 0;
      size_t messages = 0;
      for (const Round& round : AllReduceRounds(size, n, 4)) {
        for (const Message& message : round) bytes += message.bytes;
        messages += round.size();
      }
      EXPECT_EQ(bytes, 2.0 * (size - 1) * static_cast<double>(n) * 4) << size << " ranks, " << n;
      EXPECT_EQ(messages, static_cast<size_t>(2 * (size - 1) * std::min<int64_t>(n, size))) << size << " ranks, " << n;
    }
  }
}

TEST(Link, ABroadcastRunsDownItsTree) {
  // Of four: 0 sends to 2, then to 1; 2 sends to 3.
  EXPECT_THAT(RoundsEnd(kLink, std::vector<double>(4, 0), BroadcastRounds(4, 0, 8)), ElementsAre(2, 2.25, 2.25, 2.5));
}

TEST(Link, GroupsOfOneSendNothing) {
  EXPECT_TRUE(AllReduceRounds(1, 10, 4).empty());
  EXPECT_TRUE(AllGatherRounds(1, 10).empty());
  EXPECT_TRUE(BroadcastRounds(1, 0, 10).empty());
}

}  // namespace
}  // namespace basin::comm
