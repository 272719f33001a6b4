#include "report/sweep_view.h"

#include <cctype>
#include <cmath>
#include <cstdio>
#include <string_view>

#include "base/error.h"
#include "report/progress.h"

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

/// For a page: a capital letter, a full stop, and the sign for "plus or minus".
std::string Sentence(std::string line) {
  constexpr std::string_view kPlusMinus = " +- ";
  for (size_t at = 0; (at = line.find(kPlusMinus, at)) != std::string::npos;) line.replace(at, kPlusMinus.size(), " \u00b1 ");
  line[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(line[0])));
  return line + ".";
}

}  // namespace

std::vector<std::string> Verdicts(const std::vector<SweepSetting>& settings, const SweepSummary& summary) {
  std::vector<std::string> lines, free;  // free: of what sends nothing, which nobody asked about first
  for (const SweepLevel& level : summary.levels) {
    const size_t best = level.settings.front();
    std::string line = Text(level.group, level.bytes > 0 ? "for " + ByteText(level.bytes) + " a rank: " : "for nothing sent: ", settings[best].name, " ",
                            PercentText(summary.accuracy[best]));
    if (level.settings.size() > 1) {
      std::string others;
      for (const size_t k : level.close)
        others += Text(others.empty() ? "" : ", ", settings[k].name, " ", PercentText(summary.accuracy[k]));
      line += others.empty() ? "; better than all others there" : "; not told apart from " + others;
    }
    (level.bytes > 0 ? lines : free).push_back(std::move(line));
  }
  if (!summary.front.empty()) {
    const size_t best = summary.front.back();  // the front rises with the bytes
    lines.insert(lines.begin(), Text("best of those that exchange: ", settings[best].name, " ", PercentText(summary.accuracy[best]), " for ",
                                     ByteText(summary.bytes[best].mean), " a rank"));
  }
  lines.insert(lines.end(), free.begin(), free.end());
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
      row.insert(row.end(), {"-", "too few seeds, or no spread", "-", "-"});
    }
    table.AddRow(std::move(row));
  }
  return table;
}

ComparedRuns SweepPage(const std::string& title, const std::string& state, const std::vector<Setting>& runs,
                       const std::vector<SweepSetting>& settings, const SweepSummary& summary, const std::vector<std::string>& failures) {
  ComparedRuns page{.title = title, .introduction = state, .verdicts = Verdicts(settings, summary), .settings = runs};
  for (std::string& line : page.verdicts) line = Sentence(line);
  if (const Table differences = ComparisonTable(settings, summary); differences.num_rows() > 0) {
    page.tables.push_back({.title = "Differences at equal bytes",
                           .note = "Accuracy of the average. Two-sided t tests: paired over seeds where both settings ran the same ones, Welch's "
                                   "otherwise; p (Holm) allows for the number of comparisons on this page.",
                           .table = differences});
  }
  if (!failures.empty()) {
    Table table({"run, and what it said"});
    for (const std::string& line : failures) table.AddRow({line});
    page.tables.push_back({.title = "Runs without a result", .note = "", .table = std::move(table)});
  }
  return page;
}

}  // namespace basin::report
