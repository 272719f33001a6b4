#include "report/table.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace basin::report {
namespace {

Table Results() {
  Table table({"network", "accuracy", "loss", "chosen"});
  table.AddRow({"mean of members", "89.1 %", "0.31", "-"});
  table.AddRow({"soup", "9.25 %", "12", "0, 2"});
  return table;
}

TEST(Table, AlignsNumbersToTheRightAndWordsToTheLeft) {
  EXPECT_EQ(Results().Render(),
            "network          accuracy  loss  chosen\n"
            "---------------  --------  ----  ------\n"
            "mean of members    89.1 %  0.31  -\n"
            "soup               9.25 %    12  0, 2\n");
}

TEST(Table, RendersMarkdown) {
  EXPECT_EQ(Results().RenderMarkdown(),
            "| network | accuracy | loss | chosen |\n"
            "| --- | ---: | ---: | --- |\n"
            "| mean of members | 89.1 % | 0.31 | - |\n"
            "| soup | 9.25 % | 12 | 0, 2 |\n");
}

TEST(Table, EscapesBarsInMarkdown) {
  Table table({"a|b"});
  table.AddRow({"|"});
  EXPECT_EQ(table.RenderMarkdown(), "| a\\|b |\n| --- |\n| \\| |\n");
}

TEST(Table, KnowsNumbersFromWordsThatBeginLikeThem) {
  Table table({"time", "file", "what"});
  table.AddRow({"+1.5e-3 ms", "3.safetensors", "info"});
  table.AddRow({"-7 s", "12/24", "nan"});
  EXPECT_EQ(table.RenderMarkdown().substr(0, table.RenderMarkdown().find("| +1.5")),
            "| time | file | what |\n| ---: | --- | --- |\n");
}

TEST(Table, OfHeadersAloneHasARule) {
  const Table table({"a", "long"});
  EXPECT_EQ(table.Render(), "a  long\n-  ----\n");
  EXPECT_EQ(table.num_rows(), 0U);
}

TEST(Table, CountsCodePointsNotBytes) {
  Table table({"name", "n"});
  table.AddRow({"Z\xC3\xBCrich", "1"});
  EXPECT_EQ(table.Render(), "name    n\n------  -\nZ\xC3\xBCrich  1\n");
}

TEST(Table, RejectsARowOfAnotherLength) {
  Table table({"a", "b"});
  EXPECT_THROW(table.AddRow({"1"}), CheckFailed);
  EXPECT_THROW(Table({}), CheckFailed);
}

}  // namespace
}  // namespace basin::report
