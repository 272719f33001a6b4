#include "base/error.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace basin {
namespace {

using testing::HasSubstr;

TEST(Text, ConcatenatesValuesOfAnyPrintableType) {
  EXPECT_EQ(Text("found ", 3, ", allowed ", 2.5, std::string(" or "), 'x'),
            "found 3, allowed 2.5 or x");
}

TEST(BasinCheck, DoesNothingWhenTheInvariantHolds) {
  int evaluated = 0;
  BASIN_CHECK(++evaluated == 1);
  BASIN_CHECK(++evaluated == 2, "with a message");
  EXPECT_EQ(evaluated, 2);
}

TEST(BasinCheck, NamesFileConditionAndMessageWhenItDoesNot) {
  const int found = 7;
  try {
    BASIN_CHECK(found < 5, "found ", found);
    FAIL() << "must throw";
  } catch (const CheckFailed& error) {
    EXPECT_THAT(error.what(), HasSubstr("error_test.cc:"));
    EXPECT_THAT(error.what(), HasSubstr("found < 5 does not hold."));
    EXPECT_THAT(error.what(), HasSubstr("found 7"));
  }
}

TEST(Errors, AreAllOfTheOneRootAndDistinct) {
  EXPECT_THROW(throw ConfigError("x"), Error);
  EXPECT_THROW(throw DataError("x"), Error);
  EXPECT_THROW(throw CommError("x"), Error);
  EXPECT_THROW(throw CheckFailed("x"), Error);
  EXPECT_THROW(throw Interrupted("x"), Error);
  EXPECT_FALSE(
      (std::is_base_of_v<ConfigError, DataError> || std::is_base_of_v<DataError, ConfigError>));
}

}  // namespace
}  // namespace basin
