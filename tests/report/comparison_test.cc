#include "report/comparison.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace basin::report {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Setting Of(const std::string& name, double bytes, std::vector<double> averages) {
  Setting setting{.name = name, .family = name.substr(0, name.find(' '))};
  for (const double average : averages) {
    setting.runs.push_back({.mean_member = 0.85, .ensemble = 0.93, .average = average, .payload_per_rank = bytes});
  }
  return setting;
}

/// A page in a message would hide what is missing in it.
bool Holds(const std::string& html, const std::string& part) { return html.find(part) != std::string::npos; }

const std::vector<Setting> kSettings{Of("independent", 0, {0.60, 0.64}), Of("wash small", 1e5, {0.90, 0.92}), Of("wash large", 1e6, {0.91}),
                                     Of("papa", 4e6, {0.93, 0.94}), Of("papa again", 5e6, {0.93})};

TEST(ParetoFront, HoldsThoseThatNoOtherBeatsByBytes) {
  // "wash large" costs more than "wash small" and is as good; "papa again" costs more and is worse.
  EXPECT_THAT(ParetoFront(kSettings), ElementsAre(0, 1, 3));
}

TEST(ParetoFront, LeavesOutWhoHasNoAverage) {
  EXPECT_THAT(ParetoFront({Setting{.name = "a", .runs = {RunFigures{.payload_per_rank = 1.0}}}}), ElementsAre());
}

TEST(SettingsTable, GivesMeanAndSampleDeviationOfSeveralRuns) {
  const std::string text = SettingsTable(kSettings).Render();
  EXPECT_THAT(text, HasSubstr("62.00 +- 2.83"));  // 60 and 64: the sample's deviation is 2 sqrt(2)
  EXPECT_THAT(text, HasSubstr("wash large"));
}

TEST(ComparisonPage, SaysWhoIsBestAndAtWhichCost) {
  const std::string html = ComparisonPage({.title = "a comparison", .settings = kSettings});
  EXPECT_TRUE(Holds(html, "papa has the best average: 93.50&nbsp;%&nbsp;\u00b1 0.71 for 4.0&nbsp;MB a rank."));
  EXPECT_TRUE(Holds(
      html, "For less: wash small 91.00&nbsp;%&nbsp;\u00b1 1.4 for 100.0&nbsp;kB, independent 62.00&nbsp;%&nbsp;\u00b1 2.8 for 0 B."));
  EXPECT_TRUE(Holds(html, "5 settings, 8 runs"));
}

TEST(ComparisonPage, ShowsMoreTablesAndOtherSentencesWhenGiven) {
  Table table({"pair", "p"});
  table.AddRow({"wash - papa", "0.01"});
  const std::string html = ComparisonPage({.title = "t",
                                           .introduction = "27 of 27 runs",
                                           .verdicts = {"WASH at 1 MB.", "Not told apart: PAPA."},
                                           .settings = kSettings,
                                           .tables = {{"Significance", "Welch's test", table}}});
  for (const char* part :
       {"27 of 27 runs", "<p class=\"verdict\">WASH at 1&nbsp;MB.", "Not told apart: PAPA.", "<h3>Significance</h3>", "wash - papa"})
    EXPECT_TRUE(Holds(html, part)) << part;
}

TEST(ComparisonPage, NamesAreNamesAndNoScripts) {
  const std::string html = ComparisonPage({.title = "<b>", .settings = {Of("</script><img src=x>", 10, {0.5})}});
  EXPECT_FALSE(Holds(html, "<img"));
  EXPECT_FALSE(Holds(html, "<b>"));
}

TEST(ComparisonPage, WithoutAnySettingSaysSo) {
  EXPECT_TRUE(Holds(ComparisonPage({.title = "empty"}), "No setting has both an average and an account of bytes."));
}

}  // namespace
}  // namespace basin::report
