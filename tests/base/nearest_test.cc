#include "base/nearest.h"

#include <gtest/gtest.h>

namespace basin::base {
namespace {

const std::vector<std::string> kMethods = {"wash", "papa", "ensemble", "gossip"};

TEST(NearestName, MendsOneTypingMistakeOfEachKind) {
  EXPECT_EQ(NearestName("ensembel", kMethods), "ensemble");  // two letters swapped: distance 2
  EXPECT_EQ(NearestName("gosip", kMethods), "gossip");       // one missing
  EXPECT_EQ(NearestName("paapa", kMethods), "papa");         // one too many
  EXPECT_EQ(NearestName("wish", kMethods), "wash");          // one replaced
  EXPECT_EQ(NearestName("papa", kMethods), "papa");
}

TEST(NearestName, AcceptsADistanceOfHalfTheWordAndNoMore) {
  const std::vector<std::string> names = {"abcd"};
  EXPECT_EQ(NearestName("abxy", names), "abcd");  // 2 of 4
  EXPECT_EQ(NearestName("axyz", names), "");      // 3 of 4
  EXPECT_EQ(NearestName("abxyz", names), "");     // 3 of 5: half is 2.5
}

TEST(NearestName, TakesTheSmallestDistanceAndTheFirstOfEquals) {
  const std::vector<std::string> names = {"kitchen", "sittin", "mitten", "bitten"};
  EXPECT_EQ(NearestName("sitting", names), "sittin");
  EXPECT_EQ(NearestName("xitten", names), "mitten");
}

TEST(NearestName, IsEmptyForAnEmptyWordOrNoCandidates) {
  EXPECT_EQ(NearestName("", kMethods), "");
  EXPECT_EQ(NearestName("wash", {}), "");
}

TEST(JoinNames, PutsCommasBetween) {
  EXPECT_EQ(JoinNames({}), "");
  EXPECT_EQ(JoinNames(std::vector<std::string>{"a"}), "a");
  EXPECT_EQ(JoinNames(kMethods), "wash, papa, ensemble, gossip");
}

}  // namespace
}  // namespace basin::base
