#include "report/sweep_view.h"

#include <cmath>
#include <cstdio>

#include "base/error.h"
#include "report/plot.h"
#include "report/progress.h"
#include "report/svg.h"

namespace basin::report {
namespace {

std::string PercentText(const Summary& accuracy) {
  char text[64];
  std::snprintf(text, sizeof text, accuracy.count > 1 ? "%.2f +- %.2f %%" : "%.2f %%", 100 * accuracy.mean, 100 * accuracy.sd);
  return text;
}

std::string ByteText(double bytes) { return FormatBytes(std::llround(bytes)); }

std::string Printed(const char* format, double value) {
  char text[40];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

/// p-values below a thousandth are not known better than that they are small.
std::string PText(double p) { return p < 0.001 ? "< 0.001" : Printed("%.3f", p); }

constexpr const char* kStyle = R"(
:root{color-scheme:light dark;--ink:#1f2328;--page:#ffffff;--faint:#d0d7de;--soft:#f6f8fa}
@media (prefers-color-scheme:dark){:root{--ink:#e6edf3;--page:#0d1117;--faint:#3d444d;--soft:#161b22}}
body{margin:0 auto;max-width:1180px;padding:16px;background:var(--page);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
h1{font-size:22px}h2{font-size:17px;margin-top:28px}
.scroll{overflow-x:auto}svg{max-width:100%;height:auto}
table{border-collapse:collapse;font-size:13px}th,td{padding:4px 10px;border-bottom:1px solid var(--faint);text-align:left;white-space:nowrap}
td.number,th.number{text-align:right;font-variant-numeric:tabular-nums}tbody tr:nth-child(odd){background:var(--soft)}
li{overflow-wrap:anywhere}
@media print{body{max-width:none}.scroll{overflow:visible}})";

std::string ListHtml(const std::vector<std::string>& lines) {
  std::string html = "<ul>\n";
  for (const std::string& line : lines) html += "<li>" + Escaped(line) + "</li>\n";
  return html + "</ul>\n";
}

std::string TableHtml(const Table& table) { return "<div class=\"scroll\">\n" + table.RenderHtml() + "</div>\n"; }

}  // namespace

std::vector<std::string> Verdicts(const std::vector<SweepSetting>& settings, const SweepSummary& summary) {
  std::vector<std::string> lines;
  for (const SweepLevel& level : summary.levels) {
    const size_t best = level.settings.front();
    std::string line = Text(level.group, level.bytes > 0 ? ByteText(level.bytes) + " a rank: " : "nothing sent: ", settings[best].name, " ",
                            PercentText(summary.accuracy[best]));
    if (level.settings.size() > 1) {
      std::string others;
      for (const size_t k : level.close)
        others += Text(others.empty() ? "" : ", ", settings[k].name, " ", PercentText(summary.accuracy[k]));
      line += others.empty() ? "; better than all others there" : "; not told apart from " + others;
    }
    lines.push_back(std::move(line));
  }
  return lines;
}

Table ComparisonTable(const std::vector<SweepSetting>& settings, const SweepSummary& summary) {
  Table table({"bytes a rank", "better", "other", "difference, points", "95 % interval", "test", "p", "p (Holm)"});
  for (const SweepComparison& comparison : summary.comparisons) {
    const double difference = summary.accuracy[comparison.a].mean - summary.accuracy[comparison.b].mean;
    std::vector<std::string> row{ByteText(summary.levels[comparison.level].bytes), settings[comparison.a].name, settings[comparison.b].name,
                                 Printed("%.2f", 100 * difference)};
    if (const auto& test = comparison.test) {
      row.insert(row.end(), {Printed("%.2f", 100 * test->low) + " to " + Printed("%.2f", 100 * test->high),
                             std::string(TestName(test->test)), PText(test->p), PText(*comparison.p_holm)});
    } else {
      row.insert(row.end(), {"-", "too few seeds", "-", "-"});
    }
    table.AddRow(std::move(row));
  }
  return table;
}

std::string SweepPlot(const std::vector<SweepSetting>& settings, const SweepSummary& summary) {
  constexpr double kMegabyte = 1e6;
  std::vector<PricedPoint> points;
  std::vector<Reference> references;
  std::vector<size_t> place(settings.size());  // of a setting among the points
  for (size_t k = 0; k < settings.size(); ++k) {
    const Summary& accuracy = summary.accuracy[k];
    place[k] = points.size();
    if (summary.bytes[k].mean > 0) {
      points.push_back({.series = settings[k].strategy,
                        .cost = summary.bytes[k].mean / kMegabyte,
                        .value = 100 * accuracy.mean,
                        .error = 100 * accuracy.sd});
    } else {
      references.push_back({settings[k].name, 100 * accuracy.mean});
    }
  }
  std::vector<size_t> front;
  for (const size_t k : summary.front) front.push_back(place[k]);
  for (const size_t k : summary.front) points[place[k]].name = settings[k].name;
  return CostPlot({.title = "Accuracy of the average against bytes (dotted: nobody is better for less)",
                   .x = "MB a rank sends in the whole run",
                   .y = "test accuracy, %"},
                  points, front, references);
}

std::string RenderPage(const SweepPage& page) {
  std::string html = "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                     "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>" +
                     Escaped(page.title) + "</title>\n<style>" + kStyle + "\n</style>\n</head>\n<body>\n";
  html += "<h1>" + Escaped(page.title) + "</h1>\n<p>" + Escaped(page.state) + "</p>\n";
  html += "<h2>Which setting at which price</h2>\n" + ListHtml(page.verdicts);
  html += "<div class=\"scroll\">" + page.plot + "</div>\n";
  html += "<h2>All settings</h2>\n<p>Mean and sample standard deviation over seeds.</p>\n" + TableHtml(page.settings);
  if (page.comparisons.num_rows() > 0) {
    html +=
        "<h2>Differences at equal bytes</h2>\n<p>Accuracy of the average. Two-sided t tests: paired over seeds where both settings ran the "
        "same "
        "ones, Welch's otherwise; p (Holm) allows for the number of comparisons on this page.</p>\n" +
        TableHtml(page.comparisons);
  }
  if (!page.failures.empty()) html += "<h2>Runs without a result</h2>\n" + ListHtml(page.failures);
  return html + "</body>\n</html>\n";
}

}  // namespace basin::report
