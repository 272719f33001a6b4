#include "report/svg.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

namespace basin::report {
namespace {

std::string Format(const char* format, double value) {
  char text[40];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

std::string Attribute(const char* name, double value) { return std::string(" ") + name + "=\"" + Coordinate(value) + '"'; }

struct Colour {
  double red, green, blue;  // 0..255
};

Colour OnScale(double share) {
  // Five points of the viridis map.
  constexpr std::array<Colour, 5> kPoints{{{68, 1, 84}, {59, 82, 139}, {33, 145, 140}, {94, 201, 98}, {253, 231, 37}}};
  const double place = std::clamp(share, 0.0, 1.0) * (kPoints.size() - 1);
  const auto below = std::min<size_t>(static_cast<size_t>(place), kPoints.size() - 2);
  const double rest = place - static_cast<double>(below);
  const Colour &a = kPoints[below], &b = kPoints[below + 1];
  return {a.red + rest * (b.red - a.red), a.green + rest * (b.green - a.green), a.blue + rest * (b.blue - a.blue)};
}

/// Where a value lies between the ends of an axis.
double ShareOn(const Axes::Range& range, double value) {
  const double low = range.log ? std::log10(range.low) : range.low, high = range.log ? std::log10(range.high) : range.high;
  return high > low ? ((range.log ? std::log10(value) : value) - low) / (high - low) : 0.5;
}

}  // namespace

std::string Escaped(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    switch (c) {
      case '&': escaped += "&amp;"; break;
      case '<': escaped += "&lt;"; break;
      case '>': escaped += "&gt;"; break;
      case '"': escaped += "&quot;"; break;
      default: escaped += c;
    }
  }
  return escaped;
}

std::string Coordinate(double value) {
  if (!std::isfinite(value)) value = 0;
  std::string text = Format("%.2f", value);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.ends_with('.')) text.pop_back();
  return text == "-0" ? "0" : text;
}

std::string Label(double value) { return std::isfinite(value) ? Format("%.4g", value + 0.0) : "-"; }

std::string SeriesColour(size_t k) {
  constexpr std::array kColours{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#999999"};
  return kColours[k % kColours.size()];
}

std::string ScaleColour(double share) {
  const Colour colour = OnScale(share);
  char text[8];
  std::snprintf(text, sizeof text, "#%02x%02x%02x", static_cast<unsigned>(std::lround(colour.red)),
                static_cast<unsigned>(std::lround(colour.green)), static_cast<unsigned>(std::lround(colour.blue)));
  return text;
}

std::string InkOn(double share) {
  const Colour colour = OnScale(share);
  return 0.299 * colour.red + 0.587 * colour.green + 0.114 * colour.blue > 140 ? "#000000" : "#ffffff";
}

std::vector<double> Ticks(double low, double high, int wanted) {
  if (!(high > low)) return {low};
  const double raw = (high - low) / wanted, power = std::pow(10, std::floor(std::log10(raw))), share = raw / power;
  const double step = power * (share < 1.5 ? 1 : share < 3.5 ? 2 : share < 7.5 ? 5 : 10);
  std::vector<double> ticks;
  for (double k = std::ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; ++k) ticks.push_back(k * step);
  return ticks;
}

std::vector<double> LogTicks(double low, double high) {
  const double first = std::floor(std::log10(low)), last = std::ceil(std::log10(high));
  const bool few = last - first <= 3;
  const double step = std::max(1.0, std::ceil((last - first) / 8));  // of the exponent
  std::vector<double> ticks;
  for (double exponent = first; exponent <= last; exponent += step) {
    for (const double factor : {1.0, 2.0, 5.0}) {
      const double tick = factor * std::pow(10, exponent);
      if ((few || factor == 1) && tick >= low * (1 - 1e-9) && tick <= high * (1 + 1e-9)) ticks.push_back(tick);
    }
  }
  return ticks;
}

Sheet::Sheet(double width, double height) : width_(width), height_(height) {}

void Sheet::Line(double x1, double y1, double x2, double y2, const std::string& attributes) {
  body_ += "<line" + Attribute("x1", x1) + Attribute("y1", y1) + Attribute("x2", x2) + Attribute("y2", y2) + ' ' + attributes + "/>\n";
}

void Sheet::Rectangle(double x, double y, double width, double height, const std::string& attributes) {
  body_ += "<rect" + Attribute("x", x) + Attribute("y", y) + Attribute("width", width) + Attribute("height", height) + ' ' + attributes + "/>\n";
}

void Sheet::Path(const std::string& data, const std::string& attributes) {
  if (!data.empty()) body_ += "<path d=\"" + data + "\" " + attributes + "/>\n";
}

void Sheet::Circle(double x, double y, double radius, const std::string& attributes) {
  body_ += "<circle" + Attribute("cx", x) + Attribute("cy", y) + Attribute("r", radius) + ' ' + attributes + "/>\n";
}

void Sheet::Text(double x, double y, const std::string& text, const char* anchor, const std::string& attributes) {
  body_ += "<text" + Attribute("x", x) + Attribute("y", y) + " text-anchor=\"" + anchor + "\" " + attributes + '>' + Escaped(text) + "</text>\n";
}

std::string Sheet::Document() const {
  const std::string size = Coordinate(width_) + ' ' + Coordinate(height_);
  return "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 " + size + "\" width=\"" + Coordinate(width_) + "\" height=\"" +
         Coordinate(height_) +
         "\" role=\"img\">\n<style>\n"
         "svg{color-scheme:light dark;font:12px system-ui,sans-serif}\n"
         ".page{fill:#ffffff}text{fill:#1f2328}.frame{stroke:#1f2328;fill:none}.faint{stroke:#d0d7de}.ink{stroke:#1f2328}\n"
         "@media (prefers-color-scheme:dark){.page{fill:#0d1117}text{fill:#e6edf3}.frame,.ink{stroke:#e6edf3}.faint{stroke:#3d444d}}\n"
         ".title{font-weight:600;font-size:14px}\n</style>\n<rect class=\"page\" width=\"100%\" height=\"100%\"/>\n" +
         body_ + "</svg>\n";
}

double Axes::X(double value) const { return box_.left + ShareOn(x_, value) * (box_.right - box_.left); }
double Axes::Y(double value) const { return box_.bottom - ShareOn(y_, value) * (box_.bottom - box_.top); }

void Axes::DrawFrame(Sheet& sheet, const Parts& parts) const {
  for (const double tick : y_.log ? LogTicks(y_.low, y_.high) : Ticks(y_.low, y_.high, 6)) {
    sheet.Line(box_.left, Y(tick), parts.lines ? box_.right : box_.left - 4, Y(tick), parts.lines ? "class=\"faint\"" : "class=\"ink\"");
    sheet.Text(box_.left - 6, Y(tick) + 4, Label(tick), "end");
  }
  if (parts.x_ticks) {
    for (const double tick : x_.log ? LogTicks(x_.low, x_.high) : Ticks(x_.low, x_.high, 8)) {
      sheet.Line(X(tick), box_.bottom, X(tick), box_.bottom + 4, "class=\"ink\"");
      sheet.Text(X(tick), box_.bottom + 18, Label(tick), "middle");
    }
  }
  sheet.Rectangle(box_.left, box_.top, box_.right - box_.left, box_.bottom - box_.top, "class=\"frame\"");
}

void Axes::DrawTitles(Sheet& sheet, const std::string& title, const std::string& x, const std::string& y) const {
  const double middle = (box_.left + box_.right) / 2, half = (box_.top + box_.bottom) / 2;
  if (!title.empty()) sheet.Text(box_.left, box_.top - 14, title, "start", "class=\"title\"");
  if (!x.empty()) sheet.Text(middle, box_.bottom + 38, x, "middle");
  if (!y.empty()) {
    const double at = box_.left - 52;
    sheet.Text(at, half, y, "middle", "transform=\"rotate(-90 " + Coordinate(at) + ' ' + Coordinate(half) + ")\"");
  }
}

Axes::Range RangeOf(const std::vector<double>& values, bool log) {
  Axes::Range range{INFINITY, -INFINITY, log};
  for (const double value : values) {
    if (!std::isfinite(value) || (log && value <= 0)) continue;
    range.low = std::min(range.low, value);
    range.high = std::max(range.high, value);
  }
  if (range.low > range.high) return log ? Axes::Range{0.1, 1, true} : Axes::Range{};
  if (log) return {range.low / 1.3, range.high * 1.3, true};
  const double room = range.high > range.low ? 0.05 * (range.high - range.low) : std::max(0.5, std::abs(range.high) / 2);
  return {range.low - room, range.high + room, false};
}

void DrawLegend(Sheet& sheet, const Axes::Box& box, const std::vector<LegendEntry>& entries) {
  double y = box.top + 8;
  for (const LegendEntry& entry : entries) {
    const std::string dash = entry.dashed ? " stroke-dasharray=\"6 4\"" : "";
    sheet.Line(box.right + 14, y, box.right + 38, y, "stroke=\"" + entry.colour + "\" stroke-width=\"3\"" + dash);
    sheet.Text(box.right + 44, y + 4, entry.name, "start");
    y += kLegendRow;
  }
}

}  // namespace basin::report
