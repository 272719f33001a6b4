// Small tables for terminals and Markdown files.
#pragma once

#include <string>
#include <vector>

namespace basin::report {

/// Cells are text. A column whose cells are all numbers ("0.31", "89.1 %", "1.3 MB"; "" and "-" fit anywhere) stands to
/// the right, any other to the left. Drawn with ASCII characters alone; UTF-8 in the cells counts by code points.
class Table {
 public:
  explicit Table(std::vector<std::string> headers);
  /// One cell a column (CheckFailed otherwise), without line breaks.
  void AddRow(std::vector<std::string> cells);
  size_t num_rows() const { return rows_.size(); }

  /// Headers, a rule of '-', rows; two blanks between columns, none at the end of a line. Every line ends with '\n'.
  std::string Render() const;
  /// A GitHub-flavoured table; '|' in cells is escaped.
  std::string RenderMarkdown() const;
  /// A <table>; cells of columns of numbers have the class "number".
  std::string RenderHtml() const;

 private:
  bool IsNumeric(size_t column) const;

  std::vector<std::string> headers_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace basin::report
