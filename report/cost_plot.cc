// The picture of a choice: what each setting costs and what it is worth.
#include <algorithm>
#include <cmath>

#include "report/plot.h"
#include "report/svg.h"

namespace basin::report {
namespace {

constexpr double kWidth = 860, kHeight = 460, kLegendWidth = 230;

/// In order of first appearance.
std::vector<std::string> SeriesOf(const std::vector<PricedPoint>& points) {
  std::vector<std::string> names;
  for (const PricedPoint& point : points) {
    if (std::find(names.begin(), names.end(), point.series) == names.end()) names.push_back(point.series);
  }
  return names;
}

Axes MakeAxes(const std::vector<PricedPoint>& points, const std::vector<Reference>& references) {
  std::vector<double> x, y;
  for (const PricedPoint& point : points) {
    x.push_back(point.cost);
    y.insert(y.end(), {point.value - point.error, point.value + point.error});
  }
  for (const Reference& reference : references) y.push_back(reference.value);
  return {{76, 42, kWidth - kLegendWidth, kHeight - 56}, RangeOf(x, /*log=*/true), RangeOf(y, /*log=*/false)};
}

void DrawFront(Sheet& sheet, const Axes& axes, const std::vector<PricedPoint>& points, const std::vector<size_t>& front) {
  std::string path;
  for (const size_t k : front)
    path += (path.empty() ? "M" : "L") + Coordinate(axes.X(points[k].cost)) + ' ' + Coordinate(axes.Y(points[k].value)) + ' ';
  sheet.Path(path, "class=\"frame\" fill=\"none\" stroke-dasharray=\"2 4\" stroke-width=\"1.5\"");
}

void DrawPoint(Sheet& sheet, const Axes& axes, const PricedPoint& point, const std::string& colour) {
  const double x = axes.X(point.cost), y = axes.Y(point.value);
  if (point.error > 0) {
    sheet.Line(x, axes.Y(point.value - point.error), x, axes.Y(point.value + point.error),
               "stroke=\"" + colour + "\" stroke-width=\"1.5\"");
  }
  sheet.Circle(x, y, 5, "fill=\"" + colour + '"');
  if (point.name.empty()) return;
  // Towards the middle, so that no name leaves the plot.
  const bool left_half = x < (axes.box().left + axes.box().right) / 2;
  sheet.Text(x + (left_half ? 9 : -9), y - 8, point.name, left_half ? "start" : "end");
}

}  // namespace

std::string CostPlot(const PlotText& text, const std::vector<PricedPoint>& points, const std::vector<size_t>& front,
                     const std::vector<Reference>& references) {
  const std::vector<std::string> names = SeriesOf(points);
  std::vector<LegendEntry> legend;
  for (size_t k = 0; k < names.size(); ++k) legend.push_back({names[k], SeriesColour(k)});
  for (size_t k = 0; k < references.size(); ++k) legend.push_back({references[k].name, SeriesColour(names.size() + k), /*dashed=*/true});
  Sheet sheet(kWidth, std::max(kHeight, 42 + kLegendRow * (static_cast<double>(legend.size()) + 1)));
  const Axes axes = MakeAxes(points, references);
  axes.DrawFrame(sheet, {});
  axes.DrawTitles(sheet, text.title, text.x, text.y);
  for (size_t k = 0; k < references.size(); ++k) {
    const double y = axes.Y(references[k].value);
    sheet.Line(axes.box().left, y, axes.box().right, y,
               "stroke=\"" + SeriesColour(names.size() + k) + "\" stroke-width=\"1.5\" stroke-dasharray=\"6 4\"");
  }
  DrawFront(sheet, axes, points, front);
  for (const PricedPoint& point : points) {
    if (!std::isfinite(point.value) || !(point.cost > 0)) continue;
    const auto series = static_cast<size_t>(std::find(names.begin(), names.end(), point.series) - names.begin());
    DrawPoint(sheet, axes, point, SeriesColour(series));
  }
  DrawLegend(sheet, axes.box(), legend);
  return sheet.Document();
}

}  // namespace basin::report
