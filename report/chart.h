// A chart of the page as data: page/page.js draws it with Chart.js, C++ writes its frame, title and legend.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"

namespace basin::report {

/// What a curve stands for; its colour is the same in every chart of the page (page/page.css), light and dark.
/// kSeries: the curve's number in `series` picks a colour.
enum class Role { kMember, kMean, kAverage, kRaw, kEnsemble, kSoup, kExchange, kSeries };

struct Curve {
  enum class Style { kLine, kDashed, kThin, kDots, kSteps };
  std::string name;      ///< in the tooltip
  std::string legend{};  ///< what a legend calls it, and all that share this text; empty: not there
  Role role = Role::kMean;
  Style style = Style::kLine;
  std::vector<double> x, y;           ///< of one length; a NaN breaks the line
  std::vector<double> low, high;      ///< of y (of x where whiskers lie): a band, or a whisker a dot; empty: none
  std::vector<std::string> labels{};  ///< beside the dots; empty: none
  int series = 0;                     ///< colour of kSeries
  bool whiskers_along_x = false;      ///< low and high are of x
};

/// How an axis writes its numbers.
enum class Unit { kPlain, kPercent, kBytes, kSeconds };

struct ChartAxis {
  std::string title;
  Unit unit = Unit::kPlain;
  bool log = false;  ///< values that are not positive break the line
  bool from_zero = false;
  std::vector<std::string> names{};  ///< instead of the numbers 0, 1, ...
  double zero_at = 0;                ///< > 0, log: the tick here reads 0
};

struct ChartMark {
  double x = 0;
  std::string text;
};

struct Chart {
  std::string id;  ///< unique on the page; [a-z0-9-]
  std::string title, note;
  ChartAxis x, y;
  std::vector<Curve> curves;
  std::vector<ChartMark> marks{};  ///< upright lines
  bool wide = false;               ///< takes the whole width
  int rows = 0;                    ///< > 0: a low chart with so many rows
};

/// For page.js. Numbers have six significant digits; what is not finite is null.
base::Json ChartJson(const Chart& chart);
/// <figure> with title, note, legend and the canvas that page.js fills.
std::string ChartFrame(const Chart& chart);

}  // namespace basin::report
