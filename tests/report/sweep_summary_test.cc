#include "report/sweep_summary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "report/sweep_view.h"

namespace basin::report {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

/// A setting with seeds 1, 2, ...
SweepSetting Measured(const std::string& name, double bytes, std::vector<double> accuracies) {
  SweepSetting setting{.name = name, .strategy = name.substr(0, name.find('-'))};
  for (const double accuracy : accuracies) {
    setting.results.push_back({.seed = static_cast<int64_t>(setting.results.size()) + 1, .accuracy = accuracy, .bytes = bytes});
  }
  return setting;
}

std::vector<SweepSetting> TwoBudgets() {
  std::vector<SweepSetting> settings{Measured("wash-1", 1000, {0.90, 0.91, 0.92}), Measured("papa-1", 1040, {0.80, 0.812, 0.818}),
                                     Measured("wash-2", 2000, {0.93, 0.946, 0.95}), Measured("papa-2", 2020, {0.935, 0.936, 0.949}),
                                     Measured("control-independent", 0, {0.7, 0.75, 0.72})};
  settings.back().is_control = true;
  return settings;
}

TEST(Sweep, SettingsOfAboutEqualBytesAreOneLevel) {
  const SweepSummary summary = SummariseSweep(TwoBudgets());
  ASSERT_EQ(summary.levels.size(), 3u);
  EXPECT_THAT(summary.levels[0].settings, ElementsAre(4));
  EXPECT_THAT(summary.levels[1].settings, ElementsAre(0, 1));
  EXPECT_THAT(summary.levels[2].settings, ElementsAre(2, 3));
  EXPECT_DOUBLE_EQ(summary.levels[1].bytes, 1020);
}

TEST(Sweep, AChainOfSmallStepsDoesNotGrowIntoOneLevel) {
  // Each is 4 % dearer than the one before, the third 8 % dearer than the first.
  const SweepSummary summary = SummariseSweep({Measured("a", 1000, {0.9}), Measured("b", 1040, {0.9}), Measured("c", 1081, {0.9})});
  EXPECT_EQ(summary.levels.size(), 2u);
}

TEST(Sweep, OnlySettingsOfOneLevelAreComparedAndPairedOverTheirSeeds) {
  const SweepSummary summary = SummariseSweep(TwoBudgets());
  ASSERT_EQ(summary.comparisons.size(), 2u);
  const SweepComparison& first = summary.comparisons[0];
  EXPECT_EQ(first.a, 0u);
  EXPECT_EQ(first.b, 1u);
  ASSERT_TRUE(first.test.has_value());
  EXPECT_EQ(first.test->test, Comparison::Test::kPaired);
  EXPECT_NEAR(first.test->difference, 0.1, 1e-12);
  EXPECT_EQ(*first.p_holm, 2 * first.test->p);  // the smaller of two
}

TEST(Sweep, OtherSeedsAreNotPaired) {
  std::vector<SweepSetting> settings{Measured("a", 10, {0.1, 0.2}), Measured("b", 10, {0.3, 0.5})};
  settings[1].results[0].seed = 7;
  EXPECT_EQ(SummariseSweep(settings).comparisons[0].test->test, Comparison::Test::kWelch);
}

TEST(Sweep, TheBestIsToldApartOnlyWhereTheTestSaysSo) {
  const SweepSummary summary = SummariseSweep(TwoBudgets());
  EXPECT_THAT(summary.levels[1].close, IsEmpty());
  EXPECT_THAT(summary.levels[2].close, ElementsAre(3));
}

TEST(Sweep, OneSeedTellsNothingApart) {
  const SweepSummary summary = SummariseSweep({Measured("a", 10, {0.1}), Measured("b", 10, {0.9})});
  EXPECT_FALSE(summary.comparisons[0].test.has_value());
  EXPECT_THAT(summary.levels[0].close, ElementsAre(0));
}

TEST(Sweep, GroupsAreNotComparedWithEachOther) {
  std::vector<SweepSetting> settings{Measured("a", 10, {0.1, 0.2}), Measured("b", 10, {0.3, 0.5})};
  settings[1].group = "train.optimizer.lr=0.3 ";
  EXPECT_THAT(SummariseSweep(settings).comparisons, IsEmpty());
}

TEST(Sweep, TheFrontIsOfWhatSendsAndNobodyBeats) {
  std::vector<SweepSetting> settings = TwoBudgets();
  EXPECT_THAT(SummariseSweep(settings).front, ElementsAre(0, 2));
}

TEST(Sweep, JsonNamesBestAndFront) {
  const std::vector<SweepSetting> settings = TwoBudgets();
  const base::Json json = SummaryJson(settings, SummariseSweep(settings));
  EXPECT_EQ(json["pareto"], base::Json({"wash-1", "wash-2"}));
  EXPECT_EQ(json["levels"][2]["best"], "wash-2");
  EXPECT_EQ(json["levels"][2]["not_told_apart"], base::Json({"papa-2"}));
  EXPECT_EQ(json["comparisons"][0]["test"], "paired t");
}

TEST(SweepView, AVerdictNamesPriceBestAndTheRest) {
  const std::vector<SweepSetting> settings = TwoBudgets();
  EXPECT_THAT(Verdicts(settings, SummariseSweep(settings)),
              ElementsAre("best of those that exchange: wash-2 94.20 +- 1.06 % for 2.0 kB a rank",
                          "for 1.0 kB a rank: wash-1 91.00 +- 1.00 %; better than all others there",
                          "for 2.0 kB a rank: wash-2 94.20 +- 1.06 %; not told apart from papa-2 94.00 +- 0.78 %",
                          "for nothing sent: control-independent 72.33 +- 2.52 %"));
}

TEST(SweepView, ThePageHoldsVerdictsDifferencesAndFailures) {
  const std::vector<SweepSetting> settings = TwoBudgets();
  std::vector<Setting> runs;
  for (const SweepSetting& setting : settings) {
    Setting& row = runs.emplace_back(Setting{.name = setting.name, .family = setting.strategy});
    for (const SeedResult& seed : setting.results) row.runs.push_back({.average = seed.accuracy, .payload_per_rank = seed.bytes});
  }
  const std::string page = ComparisonPage(SweepPage("Sweep <more>", "5 of 5 runs are done", runs, settings, SummariseSweep(settings), {"x: exit code 3"}));
  for (const char* part : {"Sweep &lt;more&gt;", "5 of 5 runs", "better than all others", "Differences at equal bytes", "paired t", "x: exit code 3"})
    EXPECT_THAT(page, HasSubstr(part));
}

}  // namespace
}  // namespace basin::report
