#include "report/table.h"

#include <algorithm>
#include <charconv>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "report/svg.h"

namespace basin::report {
namespace {

size_t CodePoints(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

bool IsFiller(std::string_view cell) { return cell.empty() || cell == "-"; }

/// A number, alone or with a short unit behind it.
bool IsNumber(std::string_view cell) {
  constexpr size_t kLongestUnit = 6;  // " MB", " ms", "%"
  if (!cell.empty() && cell.front() == '+') cell.remove_prefix(1);
  double value = 0;
  const auto [end, error] = std::from_chars(cell.data(), cell.data() + cell.size(), value);
  if (error != std::errc()) return false;
  const std::string_view unit(end, static_cast<size_t>(cell.data() + cell.size() - end));
  return unit.empty() || unit == "%" || (unit.front() == ' ' && unit.size() <= kLongestUnit);
}

std::string Padded(const std::string& cell, size_t width, bool right) {
  const std::string blanks(width - CodePoints(cell), ' ');
  return right ? blanks + cell : cell + blanks;
}

std::string PipesEscaped(const std::string& cell) {
  std::string escaped;
  for (const char c : cell) {
    if (c == '|') escaped += '\\';
    escaped += c;
  }
  return escaped;
}

}  // namespace

Table::Table(std::vector<std::string> headers) : headers_(std::move(headers)) {
  BASIN_CHECK(!headers_.empty(), "a table without columns");
}

void Table::AddRow(std::vector<std::string> cells) {
  BASIN_CHECK(cells.size() == headers_.size(), "a row of ", cells.size(), " cells in a table of ", headers_.size(),
              " columns");
  rows_.push_back(std::move(cells));
}

std::string Table::Render() const {
  std::vector<std::string> lines(rows_.size() + 2);
  for (size_t column = 0; column < headers_.size(); ++column) {
    size_t width = CodePoints(headers_[column]);
    for (const auto& row : rows_) width = std::max(width, CodePoints(row[column]));
    const bool right = IsNumeric(column);
    const std::string gap = column > 0 ? "  " : "";
    lines[0] += gap + Padded(headers_[column], width, right);
    lines[1] += gap + std::string(width, '-');
    for (size_t r = 0; r < rows_.size(); ++r) lines[r + 2] += gap + Padded(rows_[r][column], width, right);
  }
  std::string text;
  for (const std::string& line : lines) {
    text += line.substr(0, line.find_last_not_of(' ') + 1);  // npos + 1 is 0: a line of blanks
    text += '\n';
  }
  return text;
}

std::string Table::RenderMarkdown() const {
  std::string text = "|", rule = "|";
  for (size_t column = 0; column < headers_.size(); ++column) {
    text += " " + PipesEscaped(headers_[column]) + " |";
    rule += IsNumeric(column) ? " ---: |" : " --- |";
  }
  text += "\n" + rule + "\n";
  for (const auto& row : rows_) {
    text += "|";
    for (const std::string& cell : row) text += " " + PipesEscaped(cell) + " |";
    text += "\n";
  }
  return text;
}

std::string Table::RenderHtml() const {
  std::vector<std::string> open(headers_.size());
  for (size_t column = 0; column < headers_.size(); ++column) open[column] = IsNumeric(column) ? " class=\"number\">" : ">";
  std::string html = "<table>\n<thead><tr>";
  for (size_t column = 0; column < headers_.size(); ++column) html += "<th" + open[column] + Escaped(headers_[column]) + "</th>";
  html += "</tr></thead>\n<tbody>\n";
  for (const auto& row : rows_) {
    html += "<tr>";
    for (size_t column = 0; column < row.size(); ++column) html += "<td" + open[column] + Escaped(row[column]) + "</td>";
    html += "</tr>\n";
  }
  return html + "</tbody>\n</table>\n";
}

bool Table::IsNumeric(size_t column) const {
  const auto fits = [&](const auto& row) { return IsFiller(row[column]) || IsNumber(row[column]); };
  const auto says = [&](const auto& row) { return !IsFiller(row[column]); };
  return std::all_of(rows_.begin(), rows_.end(), fits) && std::any_of(rows_.begin(), rows_.end(), says);
}

}  // namespace basin::report
