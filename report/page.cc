#include "report/page.h"

#include <map>
#include <span>

#include "base/files.h"
#include "report/svg.h"

namespace basin::report {
namespace {

/// `{{name}}` becomes values.at(name), in one pass: what is put in is not searched again.
std::string Filled(std::string_view text, const std::map<std::string, std::string_view, std::less<>>& values) {
  std::string filled;
  while (true) {
    const size_t open = text.find("{{"), close = text.find("}}", open);
    filled += text.substr(0, open);
    if (close == std::string_view::npos) return filled;
    filled += values.at(std::string(text.substr(open + 2, close - open - 2)));
    text.remove_prefix(close + 2);
  }
}

/// JSON that may stand inside <script>: no "</script>" and no "<!--" can arise without '<'. Bytes that are no UTF-8 become U+FFFD.
std::string ScriptSafe(const base::Json& json) {
  std::string safe;
  for (const char c : json.dump(-1, ' ', /*ensure_ascii=*/false, base::Json::error_handler_t::replace)) {
    if (c == '<') {
      safe += "\\u003c";
    } else {
      safe += c;
    }
  }
  return safe;
}

}  // namespace

void Page::Section(const std::string& title, const std::string& note) {
  if (in_section_) body_ += "</section>\n";
  in_section_ = true;
  body_ += "<section>\n<h2>" + Escaped(title) + "</h2>\n";
  if (!note.empty()) Paragraph("note", note);
}

void Page::Add(const PageTable& table) {
  if (!table.title.empty()) body_ += "<h3>" + Escaped(table.title) + "</h3>\n";
  if (!table.note.empty()) Paragraph("note", table.note);
  body_ += "<div class=\"scroll\">" + table.table.RenderHtml() + "</div>\n";
}

void Page::Add(const Chart& chart) {
  body_ += ChartFrame(chart);
  charts_.push_back(ChartJson(chart));
}

void Page::Add(const std::vector<Chart>& charts) {
  if (charts.empty()) return;
  body_ += "<div class=\"charts\">\n";
  for (const Chart& chart : charts) Add(chart);
  body_ += "</div>\n";
}

void Page::Paragraph(const char* style, const std::string& text) {
  std::string escaped = Escaped(text);
  for (const std::string_view unit : {" %", " \u00b1 ", " kB", " MB", " GB"}) {
    for (size_t at = escaped.find(unit); at != std::string::npos; at = escaped.find(unit, at + 1)) escaped.replace(at, 1, "&nbsp;");
  }
  body_ += std::string("<p class=\"") + style + "\">" + escaped + "</p>\n";
}

void Page::Fold(const std::string& title, const std::string& text) {
  body_ += "<details><summary>" + Escaped(title) + "</summary>\n<pre>" + Escaped(text) + "</pre></details>\n";
}

void Page::Fold(const std::string& title, const PageTable& table) {
  body_ += "<details><summary>" + Escaped(title) + "</summary>\n<div class=\"inside\">";
  Add(table);
  body_ += "</div></details>\n";
}

std::string Page::Document() const {
  const std::string data = ScriptSafe(charts_), body = body_ + (in_section_ ? "</section>\n" : ""), title = Escaped(title_);
  // Whoever writes a text into a run cannot foresee it, so a script in that text would not run even if it were not escaped.
  const std::string nonce = base::HexHash(base::Hash64(std::as_bytes(std::span<const char>(body))));
  return Filled(files::kPage, {{"title", title},
                               {"nonce", nonce},
                               {"style", files::kStyle},
                               {"body", body},
                               {"charts", data},
                               {"chart.js", files::kChartJs},
                               {"script", files::kScript}});
}

}  // namespace basin::report
