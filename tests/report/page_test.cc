#include "report/page.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <regex>

#include "base/files.h"

namespace basin::report {
namespace {

using testing::HasSubstr;
using testing::Not;

const std::string kHarm = "</script><script>window.harmed = true</script><img src=x onerror=\"window.harmed = true\">&'<!--";

Chart SmallChart(const std::string& name) {
  return {.id = "small",
          .title = name,
          .note = name,
          .x = {.title = name},
          .y = {.names = {name}},
          .curves = {{.name = name, .legend = name, .x = {0, 1}, .y = {0.1234567891, std::numeric_limits<double>::quiet_NaN()}}}};
}

/// What stands between two texts, the first time.
std::string Between(const std::string& text, const std::string& before, const std::string& after) {
  const size_t begin = text.find(before) + before.size();
  return text.substr(begin, text.find(after, begin) - begin);
}

size_t Count(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

TEST(PageFiles, AreTheFilesOfTheRepositoryByteForByte) {
  const std::filesystem::path root = BASIN_SOURCE_DIR;
  EXPECT_EQ(files::kChartJs, base::ReadFile(root / "third_party/chart.js/chart.min.js"));
  EXPECT_EQ(files::kPage, base::ReadFile(root / "report/page/page.html"));
  EXPECT_EQ(files::kStyle, base::ReadFile(root / "report/page/page.css"));
  EXPECT_EQ(files::kScript, base::ReadFile(root / "report/page/page.js"));
}

TEST(Page, HoldsItsScriptsAndLoadsNothing) {
  Page page("title");
  page.Add(SmallChart("a"));
  const std::string html = page.Document();
  EXPECT_THAT(html, HasSubstr(std::string(files::kChartJs)));
  EXPECT_THAT(html, HasSubstr("default-src 'none'"));
  // Outside Chart.js, which names its home in a comment, no address stands anywhere.
  const std::string own = Between(html, "<!doctype", "<!-- Chart.js");
  EXPECT_THAT(own, Not(HasSubstr("://")));
  EXPECT_THAT(own, Not(HasSubstr(" src=")));
  EXPECT_THAT(html, Not(HasSubstr("{{"))) << "a placeholder was left";
}

TEST(Page, TextsOfARunDoNoHarmWhereverTheyStand) {
  Page harmless("title"), page(kHarm);
  for (const auto& [target, text] : {std::pair{&harmless, std::string("text")}, std::pair{&page, kHarm}}) {
    target->Section(text, text);
    target->Add(SmallChart(text));
    Table table({text, "b"});
    table.AddRow({text, text});
    target->Add(PageTable{text, text, table});
    target->Fold(text, text);
    target->Fold(text, PageTable{.table = table});
  }
  const std::string html = page.Document();
  for (const char* tag : {"<script", "</script", "<img", "<!--"}) EXPECT_EQ(Count(html, tag), Count(harmless.Document(), tag)) << tag;
  EXPECT_THAT(html, HasSubstr("&lt;/script&gt;&lt;script&gt;"));
  const base::Json data = base::Json::parse(Between(html, "id=\"charts\">", "</script>"));
  EXPECT_EQ(data[0]["curves"][0]["name"], kHarm);
}

TEST(Page, BytesThatAreNoUtf8LeaveTheDataReadable) {
  Page page("title");
  page.Add(SmallChart("a\xff"));
  const base::Json data = base::Json::parse(Between(page.Document(), "id=\"charts\">", "</script>"));
  EXPECT_EQ(data[0]["curves"][0]["name"], "a\uFFFD");
}

TEST(ChartJson, HasSixDigitsAndNullWhereThereIsNoValue) {
  const base::Json json = ChartJson(SmallChart("a"));
  EXPECT_EQ(json["curves"][0]["y"].dump(), "[0.123457,null]");
}

TEST(ChartFrame, NamesALegendOnceForAllCurvesThatShareIt) {
  Chart chart = SmallChart("member 0");
  chart.curves.push_back(chart.curves[0]);
  for (Curve& curve : chart.curves) curve.legend = "members";
  chart.curves.push_back({.name = "quiet"});
  const std::string html = ChartFrame(chart);
  EXPECT_EQ(Count(html, "<li>"), 1u);
  EXPECT_EQ(Count(html, "<canvas id=\"small\""), 1u);
}

}  // namespace
}  // namespace basin::report
