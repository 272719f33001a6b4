#include "report/plot.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "report/svg.h"

namespace basin::report {
namespace {

constexpr double kWidth = 720, kHeight = 420, kLeft = 76, kTop = 42, kBottom = 56, kLegend = 170;

Axes::Box BoxFor(bool legend) { return {kLeft, kTop, kWidth - (legend ? kLegend : 24), kHeight - kBottom}; }

std::string ColourOf(const std::vector<Series>& series, size_t k) {
  return SeriesColour(series[k].colour >= 0 ? static_cast<size_t>(series[k].colour) : k);
}

std::string PathOf(const Series& series, const Axes& axes, bool log_y) {
  std::string data;
  bool pen_down = false;
  for (size_t k = 0; k < series.x.size(); ++k) {
    const double x = series.x[k], y = series.y[k];
    const bool drawn = std::isfinite(x) && std::isfinite(y) && (!log_y || y > 0);
    if (drawn) data += (pen_down ? "L" : "M") + Coordinate(axes.X(x)) + ' ' + Coordinate(axes.Y(y)) + ' ';
    pen_down = drawn;
  }
  return data;
}

/// In order of first appearance.
std::vector<std::string> Distinct(const std::vector<Bar>& bars, std::string Bar::*field) {
  std::vector<std::string> names;
  for (const Bar& bar : bars) {
    if (std::find(names.begin(), names.end(), bar.*field) == names.end()) names.push_back(bar.*field);
  }
  return names;
}

double ShareOf(double value, const Axes::Range& range) {
  return range.high > range.low ? (value - range.low) / (range.high - range.low) : 0.5;
}

/// Least and largest finite value, not widened.
Axes::Range Extremes(const std::vector<double>& values) {
  Axes::Range range{INFINITY, -INFINITY};
  for (const double value : values) {
    if (!std::isfinite(value)) continue;
    range.low = std::min(range.low, value);
    range.high = std::max(range.high, value);
  }
  return range.low <= range.high ? range : Axes::Range{};
}

void DrawScale(Sheet& sheet, const Axes::Box& box, const Axes::Range& range, const std::string& unit) {
  constexpr int kSteps = 64;
  const double left = box.right + 24, width = 16, height = box.bottom - box.top;
  for (int k = 0; k < kSteps; ++k) {
    sheet.Rectangle(left, box.bottom - height * (k + 1) / kSteps, width, height / kSteps + 0.5, "fill=\"" + ScaleColour((k + 0.5) / kSteps) + '"');
  }
  for (const double tick : Ticks(range.low, range.high, 6)) {
    sheet.Text(left + width + 6, box.bottom - height * ShareOf(tick, range) + 4, Label(tick), "start");
  }
  if (!unit.empty()) sheet.Text(left, box.top - 14, unit, "start");
}

}  // namespace

std::string LinePlot(const PlotText& text, const std::vector<Series>& series, bool log_y) {
  std::vector<double> x, y;
  std::vector<LegendEntry> legend;
  for (size_t k = 0; k < series.size(); ++k) {
    BASIN_CHECK(series[k].x.size() == series[k].y.size(), "series ", series[k].name, " has ", series[k].x.size(), " x and ", series[k].y.size(), " y");
    x.insert(x.end(), series[k].x.begin(), series[k].x.end());
    y.insert(y.end(), series[k].y.begin(), series[k].y.end());
    if (!series[k].name.empty()) legend.push_back({series[k].name, ColourOf(series, k), series[k].dashed});
  }
  // A legend that is longer than the plot makes the sheet longer, not the letters smaller.
  Sheet sheet(kWidth, std::max(kHeight, kTop + kLegendRow * (static_cast<double>(legend.size()) + 1)));
  const Axes axes(BoxFor(!legend.empty()), Extremes(x), RangeOf(y, log_y));
  axes.DrawFrame(sheet, {});
  axes.DrawTitles(sheet, text.title, text.x, text.y);
  for (size_t k = 0; k < series.size(); ++k) {
    sheet.Path(PathOf(series[k], axes, log_y), "fill=\"none\" stroke=\"" + ColourOf(series, k) + "\" stroke-width=\"2\" stroke-linejoin=\"round\"" +
                                                   (series[k].dashed ? " stroke-dasharray=\"6 4\"" : ""));
  }
  DrawLegend(sheet, axes.box(), legend);
  return sheet.Document();
}

std::string BarPlot(const PlotText& text, const std::vector<Bar>& bars) {
  const auto groups = Distinct(bars, &Bar::group), names = Distinct(bars, &Bar::name);
  std::vector<double> values{0};  // bars stand on it
  for (const Bar& bar : bars) {
    values.push_back(bar.value - bar.error);
    values.push_back(bar.value + bar.error);
  }
  const bool legend = names.size() > 1;
  // Names of groups are written upright below their bars, so the sheet grows with the longest.
  size_t longest = 0;
  for (const auto& group : groups) longest = std::max(longest, group.size());
  const bool upright = static_cast<double>(longest) * 7 * static_cast<double>(groups.size()) > kWidth - kLeft - kLegend;
  const double extra = upright ? static_cast<double>(longest) * 6.5 : 0;
  Sheet sheet(kWidth, kHeight + extra);
  const Axes axes(BoxFor(legend), {0, static_cast<double>(std::max<size_t>(groups.size(), 1))}, RangeOf(values, false));
  axes.DrawFrame(sheet, {.x_ticks = false});
  axes.DrawTitles(sheet, text.title, "", text.y);
  const double slot = 0.8 / static_cast<double>(std::max<size_t>(names.size(), 1));
  for (const Bar& bar : bars) {
    if (!std::isfinite(bar.value)) continue;
    const auto group = static_cast<double>(std::find(groups.begin(), groups.end(), bar.group) - groups.begin());
    const auto place = std::find(names.begin(), names.end(), bar.name) - names.begin();
    const double left = axes.X(group + 0.1 + slot * static_cast<double>(place)), right = axes.X(group + 0.1 + slot * static_cast<double>(place + 1));
    const double y = axes.Y(bar.value), zero = axes.Y(0), middle = (left + right) / 2;
    sheet.Rectangle(left, std::min(y, zero), right - left, std::abs(zero - y), "fill=\"" + SeriesColour(static_cast<size_t>(place)) + '"');
    if (bar.error > 0) sheet.Line(middle, axes.Y(bar.value - bar.error), middle, axes.Y(bar.value + bar.error), "class=\"ink\" stroke-width=\"1.5\"");
  }
  sheet.Line(axes.box().left, axes.Y(0), axes.box().right, axes.Y(0), "class=\"ink\"");
  for (size_t k = 0; k < groups.size(); ++k) {
    const double x = axes.X(static_cast<double>(k) + 0.5), y = axes.box().bottom + (upright ? 8 : 18);
    const std::string turn = upright ? "transform=\"rotate(-90 " + Coordinate(x) + ' ' + Coordinate(y) + ") translate(0 4)\"" : "";
    sheet.Text(x, y, groups[k], upright ? "end" : "middle", turn);
  }
  if (!text.x.empty()) sheet.Text((axes.box().left + axes.box().right) / 2, kHeight + extra - 10, text.x, "middle");
  std::vector<LegendEntry> entries;
  for (size_t k = 0; legend && k < names.size(); ++k) entries.push_back({names[k], SeriesColour(k)});
  DrawLegend(sheet, axes.box(), entries);
  return sheet.Document();
}

std::string HeatPlot(const PlotText& text, const HeatMap& map) {
  BASIN_CHECK(map.values.size() == map.rows.size() * map.columns.size(), map.values.size(), " values for ", map.rows.size(), " x ", map.columns.size(), " cells");
  constexpr double kCell = 64, kCellHeight = 40, kNames = 130;
  const double width = kNames + kCell * static_cast<double>(map.columns.size()), height = kCellHeight * static_cast<double>(map.rows.size());
  Sheet sheet(std::max(width + 130, 360.0), kTop + 24 + height + kBottom);
  const Axes::Box box{kNames, kTop + 24, width, kTop + 24 + height};
  const Axes::Range range = Extremes(map.values);
  if (!text.title.empty()) sheet.Text(12, 24, text.title, "start", "class=\"title\"");
  for (size_t c = 0; c < map.columns.size(); ++c) sheet.Text(box.left + kCell * (static_cast<double>(c) + 0.5), box.top - 8, map.columns[c], "middle");
  for (size_t r = 0; r < map.rows.size(); ++r) {
    const double y = box.top + kCellHeight * static_cast<double>(r);
    sheet.Text(box.left - 8, y + kCellHeight / 2 + 4, map.rows[r], "end");
    for (size_t c = 0; c < map.columns.size(); ++c) {
      const double value = map.values[r * map.columns.size() + c], x = box.left + kCell * static_cast<double>(c);
      if (!std::isfinite(value)) continue;
      const double share = ShareOf(value, range);
      sheet.Rectangle(x, y, kCell - 1, kCellHeight - 1, "fill=\"" + ScaleColour(share) + '"');
      sheet.Text(x + kCell / 2, y + kCellHeight / 2 + 4, Label(value), "middle", "style=\"fill:" + InkOn(share) + '"');
    }
  }
  if (height >= 4 * kCellHeight) DrawScale(sheet, box, range, "");
  if (!text.x.empty()) sheet.Text(box.left, box.bottom + 24, text.x, "start");
  return sheet.Document();
}

std::string GridPlot(const PlotText& text, const FilledGrid& grid) {
  BASIN_CHECK(grid.columns > 1 && grid.rows > 1 && grid.values.size() == static_cast<size_t>(grid.columns) * static_cast<size_t>(grid.rows),
              grid.values.size(), " values on a grid of ", grid.columns, " x ", grid.rows);
  std::vector<double> shown = grid.values;
  if (grid.clip > 0) {
    for (double& value : shown) value = std::isnan(value) ? grid.clip : std::min(value, grid.clip);
  }
  const Axes::Range range = Extremes(shown);
  const double step_x = (grid.right - grid.left) / (grid.columns - 1), step_y = (grid.top - grid.bottom) / (grid.rows - 1);
  Sheet sheet(kWidth, kHeight + 100);
  const Axes axes({kLeft, kTop, kWidth - 110, kHeight + 100 - kBottom}, {grid.left - step_x / 2, grid.right + step_x / 2},
                  {grid.bottom - step_y / 2, grid.top + step_y / 2});
  for (int row = 0; row < grid.rows; ++row) {
    for (int column = 0; column < grid.columns; ++column) {
      const double value = shown[static_cast<size_t>(row) * static_cast<size_t>(grid.columns) + static_cast<size_t>(column)];
      if (!std::isfinite(value)) continue;
      const double x = axes.X(grid.left + step_x * (column - 0.5)), y = axes.Y(grid.bottom + step_y * (row + 0.5));
      // Half a pixel over, so that no page shines through between cells.
      sheet.Rectangle(x, y, axes.X(grid.left + step_x * (column + 0.5)) - x + 0.5, axes.Y(grid.bottom + step_y * (row - 0.5)) - y + 0.5,
                      "fill=\"" + ScaleColour(ShareOf(value, range)) + '"');
    }
  }
  axes.DrawFrame(sheet, {.lines = false});
  axes.DrawTitles(sheet, text.title, text.x, text.y);
  for (const Marker& marker : grid.markers) {
    sheet.Circle(axes.X(marker.x), axes.Y(marker.y), 5, "fill=\"#ffffff\" stroke=\"#000000\" stroke-width=\"2\"");
    sheet.Text(axes.X(marker.x) + 9, axes.Y(marker.y) - 7, marker.name, "start",
               "style=\"fill:#ffffff;stroke:#000000;stroke-width:3;paint-order:stroke;font-weight:600\"");
  }
  DrawScale(sheet, axes.box(), range, grid.unit);
  return sheet.Document();
}

}  // namespace basin::report
