#include "trainer/config/yaml.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "trainer/config/scalars.h"

namespace basin::trainer {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

Yaml Parse(const std::string& text) {
  Problems problems;
  Yaml root = ParseYaml(text, "f", problems);
  problems.ThrowIfAny();
  return root;
}

TEST(Yaml, EveryValueKnowsItsLine) {
  const Yaml root = Parse("a: 1\nb:\n  - x\n  - {c: 'y',\n     d: null}\n");
  EXPECT_THAT(root.keys, ElementsAre("a", "b"));
  const Yaml& b = *root.Find("b");
  EXPECT_EQ(b.where, "f:2");
  EXPECT_EQ(b.items[0].where, "f:3");
  EXPECT_EQ(b.items[1].Find("c")->where, "f:4");
  EXPECT_TRUE(b.items[1].Find("c")->quoted);
  EXPECT_EQ(b.items[1].Find("d")->where, "f:5");
  EXPECT_TRUE(b.items[1].Find("d")->IsNull());
}

TEST(Yaml, AliasesAreCopied) {
  EXPECT_EQ(Parse("a: &x [1, 2]\nb: *x").Find("b")->items.size(), 2u);
}

TEST(Yaml, AliasesThatMultiplyAreStopped) {
  std::string text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 9; ++i) {
    const std::string below = "*a" + std::to_string(i - 1);
    text += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + below;
    for (int k = 1; k < 10; ++k) text += ", " + below;
    text += "]\n";
  }
  EXPECT_THAT([&] { Parse(text); }, ThrowsMessage<ConfigError>(HasSubstr("too deep or too many values")));
}

TEST(Yaml, TextThatIsNoWordIsPrintedQuotedAndReadsBack) {
  for (const std::string text : {"plain", "a/b_c-d.e", "", "true", "Off", "null", "1.5", "a: b", "#x", "quote \" and \\", "tab\t\n", "\xc3\xa9"}) {
    Yaml root;
    root.Set("k", Yaml::String(text));
    const Yaml again = *Parse(DumpYaml(root)).Find("k");
    EXPECT_EQ(again.text, text);
    EXPECT_EQ(again.quoted, text != "plain" && text != "a/b_c-d.e") << text;
  }
}

TEST(Yaml, NumbersArePrintedShortAndExact) {
  EXPECT_EQ(NumberText(0.1), "0.1");
  EXPECT_EQ(NumberText(1), "1.0");
  EXPECT_EQ(NumberText(1e-4), "1.0e-4");
  EXPECT_EQ(NumberText(2.5e-12), "2.5e-12");
  EXPECT_EQ(NumberText(1e300), "1.0e+300");
  EXPECT_EQ(std::stod(NumberText(1.0 / 3)), 1.0 / 3);
}

}  // namespace
}  // namespace basin::trainer
