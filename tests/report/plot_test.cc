#include "report/plot.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <regex>

#include "base/error.h"
#include "report/svg.h"

namespace basin::report {
namespace {

using testing::HasSubstr;
using testing::Not;

size_t Count(const std::string& text, const std::string& word) {
  size_t count = 0;
  for (size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) ++count;
  return count;
}

/// Every element is closed or self-closing, in order.
void ExpectWellFormed(const std::string& svg) {
  std::vector<std::string> open;
  const std::regex tag("<(/?)([a-z]+)([^<>]*?)(/?)>");
  for (std::sregex_iterator it(svg.begin(), svg.end(), tag), end; it != end; ++it) {
    if ((*it)[1].length() > 0) {
      ASSERT_FALSE(open.empty());
      EXPECT_EQ(open.back(), (*it)[2].str());
      open.pop_back();
    } else if ((*it)[4].length() == 0) {
      open.push_back((*it)[2].str());
    }
  }
  EXPECT_TRUE(open.empty());
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
  EXPECT_THAT(svg, Not(HasSubstr("inf")));
  // Nothing is loaded from anywhere: the one address is the namespace's name.
  EXPECT_EQ(Count(svg, "http"), 1U);
}

TEST(LinePlot, DrawsAPathALegendAndTitles) {
  const std::string svg = LinePlot({"Loss & <more>", "lambda", "nats"}, {{"a", {0, 0.5, 1}, {1, 2, 1}}, {"b", {0, 1}, {1, 1}, /*dashed=*/true}});
  ExpectWellFormed(svg);
  EXPECT_THAT(svg, HasSubstr("Loss &amp; &lt;more&gt;"));
  EXPECT_THAT(svg, HasSubstr(">lambda<"));
  EXPECT_EQ(Count(svg, "<path"), 2U);
  EXPECT_EQ(Count(svg, "stroke-dasharray"), 2U);  // the line and its legend
}

TEST(LinePlot, PutsPointsInProportionAndTheLargerValueHigher) {
  const Axes axes({100, 50, 300, 250}, {0, 1}, {0, 10});
  EXPECT_EQ(axes.X(0), 100);
  EXPECT_EQ(axes.X(0.25), 150);
  EXPECT_EQ(axes.Y(0), 250);
  EXPECT_EQ(axes.Y(10), 50);
  const Axes log({0, 0, 100, 300}, {0, 1}, {0.001, 1, true});
  EXPECT_NEAR(log.Y(0.1), 100, 1e-9);
}

TEST(LinePlot, BreaksTheLineWhereAValueIsMissing) {
  const std::string svg = LinePlot({}, {{"", {0, 1, 2, 3}, {1, NAN, 2, 3}}});
  ExpectWellFormed(svg);
  const size_t path = svg.find("<path");
  EXPECT_EQ(Count(svg.substr(path, svg.find("/>", path) - path), "M"), 2U);
}

TEST(LinePlot, LogScaleLeavesOutWhatIsNotPositive) {
  const std::string svg = LinePlot({}, {{"", {0, 1, 2}, {0, 1e-3, 10}}}, /*log_y=*/true);
  ExpectWellFormed(svg);
  EXPECT_THAT(svg, HasSubstr(">0.001<"));
}

TEST(LinePlot, OfNothingAndOfOneValueIsStillADocument) {
  ExpectWellFormed(LinePlot({}, {}));
  ExpectWellFormed(LinePlot({}, {{"one", {1}, {5}}}));
  ExpectWellFormed(LinePlot({}, {{"nothing", {1}, {NAN}}}, true));
  EXPECT_THROW(LinePlot({}, {{"odd", {1, 2}, {5}}}), CheckFailed);
}

TEST(BarPlot, DrawsEachBarItsWhiskerAndTheZeroLine) {
  const std::string svg = BarPlot({"R", "", ""}, {{"conv1", "0", 0.2, 0.05}, {"conv1", "0.3", 0.8}, {"fc", "0", -0.1}, {"fc", "0.3", NAN}});
  ExpectWellFormed(svg);
  EXPECT_EQ(Count(svg, "fill=\"#0072b2\""), 2U);
  EXPECT_EQ(Count(svg, "fill=\"#d55e00\""), 1U);
  EXPECT_EQ(Count(svg, "stroke-width=\"1.5\""), 1U);
}

TEST(HeatPlot, ColoursEachCellAndLeavesMissingOnesEmpty) {
  const std::string svg = HeatPlot({"barriers", "", ""}, {{"a", "b"}, {"a", "b"}, {NAN, 0.5, 1.5, NAN}});
  ExpectWellFormed(svg);
  EXPECT_EQ(Count(svg, ScaleColour(0)), 1U);
  EXPECT_EQ(Count(svg, ScaleColour(1)), 1U);
  EXPECT_THAT(svg, HasSubstr(">1.5<"));
  EXPECT_THROW(HeatPlot({}, {{"a"}, {"a"}, {}}), CheckFailed);
}

TEST(GridPlot, FillsEachPointClipsAndMarks) {
  FilledGrid grid{.left = 0, .right = 2, .bottom = 0, .top = 1, .columns = 3, .rows = 2, .values = {0, 1, 2, 3, NAN, 100}, .clip = 3,
                  .markers = {{"A", 0, 0}}};
  const std::string svg = GridPlot({"plane", "x", "y"}, grid);
  ExpectWellFormed(svg);
  EXPECT_EQ(Count(svg, "fill=\"" + ScaleColour(1) + '"'), 3U);  // 3, the missing one and the clipped one
  EXPECT_EQ(Count(svg, "<circle"), 1U);
  grid.values.pop_back();
  EXPECT_THROW(GridPlot({}, grid), CheckFailed);
}

TEST(Ticks, AreRoundNumbersWithin) {
  EXPECT_THAT(Ticks(0, 1, 5), testing::Pointwise(testing::DoubleNear(1e-12), {0.0, 0.2, 0.4, 0.6, 0.8, 1.0}));
  EXPECT_THAT(Ticks(-3, 7, 5), testing::Pointwise(testing::DoubleNear(1e-12), {-2.0, 0.0, 2.0, 4.0, 6.0}));
  EXPECT_EQ(Ticks(2, 2, 5).size(), 1U);
}

TEST(LogTicks, ArePowersOfTenAndMoreWhereTheyAreFew) {
  EXPECT_THAT(LogTicks(0.04, 6), testing::Pointwise(testing::DoubleNear(1e-12), {0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0}));
  EXPECT_THAT(LogTicks(1e-5, 1), testing::Pointwise(testing::DoubleNear(1e-12), {1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0}));
  EXPECT_LE(LogTicks(1e-24, 1).size(), 10U);
}

TEST(Svg, ColoursRunFromDarkToLightAndInkCanBeRead) {
  EXPECT_EQ(ScaleColour(0), "#440154");
  EXPECT_EQ(ScaleColour(1), "#fde725");
  EXPECT_EQ(ScaleColour(-5), ScaleColour(0));
  EXPECT_EQ(InkOn(0), "#ffffff");
  EXPECT_EQ(InkOn(1), "#000000");
}

TEST(Svg, CoordinatesAreShort) {
  EXPECT_EQ(Coordinate(1.0), "1");
  EXPECT_EQ(Coordinate(1.25), "1.25");
  EXPECT_EQ(Coordinate(-0.0001), "0");
  EXPECT_EQ(Coordinate(100), "100");
}

}  // namespace
}  // namespace basin::report
