// Pictures as SVG text: lines, bars with errors, tables of colours, filled grids. They need no font but the reader's own, and read on
// light and dark pages alike.
#pragma once

#include <string>
#include <vector>

namespace basin::report {

struct PlotText {
  std::string title, x, y;  ///< empty: left out
};

struct Series {
  std::string name;          ///< in the legend; empty: not there
  std::vector<double> x, y;  ///< of one length; a NaN breaks the line
  bool dashed = false;
  int colour = -1;           ///< of the palette; lines that belong together may share one. -1: the series' number
};
/// Lines over common axes. log_y: values that are not positive break the line.
std::string LinePlot(const PlotText& text, const std::vector<Series>& series, bool log_y = false);

struct Bar {
  std::string group, name;  ///< bars of one group stand together; one colour a name
  double value = 0;
  double error = 0;         ///< half the length of the whisker, 0: none
};
std::string BarPlot(const PlotText& text, const std::vector<Bar>& bars);

/// A labelled table of values, each in its colour and as a number. values: rows x columns, row by row; NaN: an empty cell.
struct HeatMap {
  std::vector<std::string> rows, columns;
  std::vector<double> values;
};
std::string HeatPlot(const PlotText& text, const HeatMap& map);

struct Marker {
  std::string name;
  double x = 0, y = 0;
};
/// A scalar on a grid of points with even steps, each filled with its colour; row by row from the lowest y.
struct FilledGrid {
  double left = 0, right = 1, bottom = 0, top = 1;  ///< of the outermost points
  int columns = 0, rows = 0;
  std::vector<double> values;
  std::string unit;                                 ///< beside the colour scale
  double clip = 0;                                  ///< > 0: larger values are shown as this one
  std::vector<Marker> markers;
};
std::string GridPlot(const PlotText& text, const FilledGrid& grid);

}  // namespace basin::report
