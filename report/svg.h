// What every picture is drawn with: a sheet, axes, colours. For report/ alone.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace basin::report {

/// `text` with &, <, > and quotes escaped.
std::string Escaped(std::string_view text);
/// Two decimals, no trailing zeros: enough for a pixel.
std::string Coordinate(double value);
/// As short as a label wants it: up to four significant digits.
std::string Label(double value);

/// Colour of the k-th series: Okabe and Ito's palette, told apart by colour-blind readers too; over and over after seven.
std::string SeriesColour(size_t k);
/// share in [0, 1] of a scale from dark blue over green to yellow, even in lightness (after viridis); as "#rrggbb".
std::string ScaleColour(double share);
/// Black or white: what can be read on ScaleColour(share).
std::string InkOn(double share);

/// Round numbers in [low, high], about `wanted` of them; steps of 1, 2 or 5 times a power of ten.
std::vector<double> Ticks(double low, double high, int wanted);
/// Of a logarithmic axis, 0 < low < high: powers of ten, with 2 and 5 times them where there would be few.
std::vector<double> LogTicks(double low, double high);

/// Grows by elements; coordinates in pixels from the upper left corner.
class Sheet {
 public:
  Sheet(double width, double height);

  void Line(double x1, double y1, double x2, double y2, const std::string& attributes);
  void Rectangle(double x, double y, double width, double height, const std::string& attributes);
  void Path(const std::string& data, const std::string& attributes);
  void Circle(double x, double y, double radius, const std::string& attributes);
  /// anchor: start | middle | end.
  void Text(double x, double y, const std::string& text, const char* anchor, const std::string& attributes = "");
  /// The document, with the style that follows the page's light or dark.
  std::string Document() const;

 private:
  double width_, height_;
  std::string body_;
};

/// Maps data to pixels and draws frame, ticks and titles.
class Axes {
 public:
  struct Range {
    double low = 0, high = 1;
    bool log = false;
  };
  struct Box {
    double left, top, right, bottom;
  };
  Axes(const Box& box, const Range& x, const Range& y) : box_(box), x_(x), y_(y) {}

  double X(double value) const;
  double Y(double value) const;
  const Box& box() const { return box_; }
  struct Parts {
    bool x_ticks = true, lines = true;  ///< lines: across the plot at every tick of y
  };
  void DrawFrame(Sheet& sheet, const Parts& parts) const;
  void DrawTitles(Sheet& sheet, const std::string& title, const std::string& x, const std::string& y) const;

 private:
  Box box_;
  Range x_, y_;
};

struct LegendEntry {
  std::string name, colour;
  bool dashed = false;
};
inline constexpr double kLegendRow = 20;  ///< pixels
/// To the right of a plot, from its upper end down.
void DrawLegend(Sheet& sheet, const Axes::Box& box, const std::vector<LegendEntry>& entries);

/// From the least to the largest finite value (positive ones when log), widened a little; 0..1 when there is none.
Axes::Range RangeOf(const std::vector<double>& values, bool log);

}  // namespace basin::report
