#include "report/chart.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <set>

#include "base/error.h"
#include "report/svg.h"

namespace basin::report {
namespace {

std::string RoleName(const Curve& curve) {
  constexpr int kNumColours = 8;  // in page.css
  switch (curve.role) {
    case Role::kMember:
      return "member";
    case Role::kMean:
      return "mean";
    case Role::kAverage:
      return "average";
    case Role::kRaw:
      return "raw";
    case Role::kEnsemble:
      return "ensemble";
    case Role::kSoup:
      return "soup";
    case Role::kExchange:
      return "exchange";
    case Role::kSeries:
      return "series-" + std::to_string(curve.series % kNumColours);
  }
  return "mean";
}

const char* StyleName(Curve::Style style) {
  switch (style) {
    case Curve::Style::kLine:
      return "line";
    case Curve::Style::kDashed:
      return "dashed";
    case Curve::Style::kThin:
      return "thin";
    case Curve::Style::kDots:
      return "dots";
    case Curve::Style::kSteps:
      return "steps";
  }
  return "line";
}

const char* UnitName(Unit unit) {
  switch (unit) {
    case Unit::kPlain:
      return "plain";
    case Unit::kPercent:
      return "percent";
    case Unit::kBytes:
      return "bytes";
    case Unit::kSeconds:
      return "seconds";
  }
  return "plain";
}

/// What a screen shows needs no more digits, and a page has many numbers.
base::Json Numbers(const std::vector<double>& values) {
  base::Json list = base::Json::array();
  for (const double value : values) {
    char text[32];
    std::snprintf(text, sizeof text, "%.6g", value);
    list.push_back(std::isfinite(value) ? base::Json(std::strtod(text, nullptr)) : base::Json(nullptr));
  }
  return list;
}

base::Json CurveJson(const Curve& curve) {
  BASIN_CHECK(curve.x.size() == curve.y.size() && curve.low.size() == curve.high.size(), "curve ", curve.name, " has ", curve.x.size(),
              " x and ", curve.y.size(), " y");
  base::Json json{
      {"name", curve.name}, {"role", RoleName(curve)}, {"style", StyleName(curve.style)}, {"x", Numbers(curve.x)}, {"y", Numbers(curve.y)}};
  if (!curve.low.empty()) {
    json["low"] = Numbers(curve.low);
    json["high"] = Numbers(curve.high);
    if (curve.whiskers_along_x) json["whiskers"] = "x";
  }
  if (!curve.labels.empty()) json["labels"] = curve.labels;
  return json;
}

base::Json AxisJson(const ChartAxis& axis) {
  base::Json json{{"title", axis.title}, {"unit", UnitName(axis.unit)}, {"log", axis.log}, {"from_zero", axis.from_zero}};
  if (!axis.names.empty()) json["names"] = axis.names;
  if (axis.zero_at > 0) json["zero_at"] = axis.zero_at;
  return json;
}

/// A name once, however many curves share it.
std::string Legend(const std::vector<Curve>& curves) {
  std::string items;
  std::set<std::string> seen;
  for (const Curve& curve : curves) {
    if (curve.legend.empty() || !seen.insert(curve.legend).second) continue;
    items += "<li><i class=\"key " + std::string(StyleName(curve.style)) + "\" style=\"color: var(--" + RoleName(curve) + ")\"></i>" +
             Escaped(curve.legend) + "</li>";
  }
  return items.empty() ? "" : "<ul class=\"legend\">" + items + "</ul>\n";
}

}  // namespace

base::Json ChartJson(const Chart& chart) {
  base::Json json{{"id", chart.id}, {"x", AxisJson(chart.x)}, {"y", AxisJson(chart.y)}, {"curves", base::Json::array()}};
  for (const Curve& curve : chart.curves) json["curves"].push_back(CurveJson(curve));
  for (const ChartMark& mark : chart.marks) json["marks"].push_back({{"x", mark.x}, {"text", mark.text}});
  return json;
}

std::string ChartFrame(const Chart& chart) {
  const std::string height = chart.rows > 0 ? " style=\"height: " + std::to_string(48 + 34 * chart.rows) + "px\"" : "";
  return "<figure class=\"card" + std::string(chart.wide ? " wide" : "") + "\">\n<figcaption><h3>" + Escaped(chart.title) + "</h3>" +
         (chart.note.empty() ? "" : "<p class=\"note\">" + Escaped(chart.note) + "</p>") + "</figcaption>\n" + Legend(chart.curves) +
         "<div class=\"canvas\"" + height + "><canvas id=\"" + Escaped(chart.id) + "\" role=\"img\" aria-label=\"" + Escaped(chart.title) +
         "\"></canvas></div>\n</figure>\n";
}

}  // namespace basin::report
