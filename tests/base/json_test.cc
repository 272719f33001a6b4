#include "base/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/files.h"

namespace basin::base {
namespace {

using testing::HasSubstr;

class JsonFile : public testing::Test {
 protected:
  std::filesystem::path Path(const char* name = "value.json") const {
    return folder_.path() / name;
  }
  TemporaryFolder folder_;
};

TEST(WholeNumber, IsWhatFitsInt64AndNothingElse) {
  const auto read = [](const char* text) { return WholeNumber(Json::parse(text)); };
  EXPECT_EQ(read("0"), 0);
  EXPECT_EQ(read("-7"), -7);
  EXPECT_EQ(read("9223372036854775807"), std::numeric_limits<int64_t>::max());
  EXPECT_EQ(read("-9223372036854775808"), std::numeric_limits<int64_t>::min());
  for (const char* text : {"9223372036854775808", "1e40", "33333333333333333333333333333333333333333", "1.0", "-0.5", "\"1\"", "null", "[1]", "true"}) {
    EXPECT_THROW(read(text), DataError) << text;
  }
}

TEST_F(JsonFile, KeepsTheOrderOfKeysAndIndentsByTwo) {
  Json value;
  value["zebra"] = 1;
  value["apple"] = {1.5, "two"};
  value["mid"]["inner"] = true;
  WriteJson(Path(), value);
  EXPECT_EQ(ReadFile(Path()),
            "{\n  \"zebra\": 1,\n  \"apple\": [\n    1.5,\n    \"two\"\n  ],\n  \"mid\": {\n    "
            "\"inner\": true\n  }\n}\n");
  EXPECT_EQ(ReadJson(Path()), value);
  EXPECT_EQ(ReadJson(Path()).begin().key(), "zebra");
}

TEST_F(JsonFile, WritesNumbersThatAreNotFiniteAsNull) {
  WriteJson(Path(), Json{{"a", std::nan("")},
                         {"b", std::numeric_limits<double>::infinity()},
                         {"c", -std::numeric_limits<double>::infinity()},
                         {"d", 2.0}});
  EXPECT_EQ(ReadFile(Path()),
            "{\n  \"a\": null,\n  \"b\": null,\n  \"c\": null,\n  \"d\": 2.0\n}\n");
}

TEST_F(JsonFile, BringsEveryDoubleAndLargeIntegerBackExactly) {
  const Json value = {0.1,
                      1.0 / 3.0,
                      5e-324,
                      1.7976931348623157e308,
                      18446744073709551615u,
                      std::numeric_limits<int64_t>::min()};
  WriteJson(Path(), value);
  const Json back = ReadJson(Path());
  EXPECT_EQ(back[0].get<double>(), 0.1);
  EXPECT_EQ(back[1].get<double>(), 1.0 / 3.0);
  EXPECT_EQ(back[2].get<double>(), 5e-324);
  EXPECT_EQ(back[3].get<double>(), 1.7976931348623157e308);
  EXPECT_EQ(back[4].get<uint64_t>(), 18446744073709551615u);
  EXPECT_EQ(back[5].get<int64_t>(), std::numeric_limits<int64_t>::min());
}

TEST_F(JsonFile, ReplacesBytesThatAreNotUtf8InsteadOfFailing) {
  WriteJson(Path(), Json{{"host", "a\xFFz"}});
  EXPECT_EQ(ReadJson(Path())["host"], "a\xEF\xBF\xBDz");  // U+FFFD
}

TEST_F(JsonFile, NamesFileAndPositionOfASyntaxError) {
  WriteFileAtomically(Path(), "{\n  \"a\": 1,\n  oops\n}");
  try {
    ReadJson(Path());
    FAIL() << "must throw";
  } catch (const DataError& error) {
    EXPECT_THAT(error.what(), HasSubstr(Path().string()));
    EXPECT_THAT(error.what(), HasSubstr("line 3"));
  }
}

TEST_F(JsonFile, RefusesAnEmptyACutAndAMissingFile) {
  WriteFileAtomically(Path("empty.json"), "");
  WriteFileAtomically(Path("cut.json"), "{\"a\": [1, 2");
  EXPECT_THROW(ReadJson(Path("empty.json")), DataError);
  EXPECT_THROW(ReadJson(Path("cut.json")), DataError);
  EXPECT_THROW(ReadJson(Path("missing.json")), DataError);
}

}  // namespace
}  // namespace basin::base
