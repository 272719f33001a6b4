// The frame of a report: one HTML file that needs nothing else, with styles, Chart.js and the charts' data inside, and pieces of its body.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "report/chart.h"
#include "report/table.h"

namespace basin::report {

/// The files that are part of the program, as they stand in the repository.
namespace files {
extern const std::string_view kPage, kStyle, kScript, kChartJs;
}

/// A table under a title of its own.
struct PageTable {
  std::string title, note;  ///< empty: left out
  Table table;
};

/// Grows from the top down. All texts are escaped here; `html` is taken as it is.
class Page {
 public:
  explicit Page(std::string title) : title_(std::move(title)) {}

  void Html(std::string_view html) { body_ += html; }
  /// <h2>, and what follows until the next one.
  void Section(const std::string& title, const std::string& note = "");
  void Add(const PageTable& table);
  void Add(const Chart& chart);
  /// Beside each other where there is room.
  void Add(const std::vector<Chart>& charts);
  /// A paragraph; its class is one of page.css. Numbers stay with their units.
  void Paragraph(const char* style, const std::string& text);
  /// Folded: a block of verbatim text, or a table.
  void Fold(const std::string& title, const std::string& text);
  void Fold(const std::string& title, const PageTable& table);

  /// The whole document. It loads nothing, and says so to the browser (Content-Security-Policy), which then runs no script but ours.
  std::string Document() const;

 private:
  std::string title_, body_;
  base::Json charts_ = base::Json::array();
  bool in_section_ = false;
};

}  // namespace basin::report
