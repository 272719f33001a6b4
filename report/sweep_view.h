// What a sweep found, for people: sentences, a table, a picture, a page.
#pragma once

#include <string>
#include <vector>

#include "report/sweep_summary.h"
#include "report/table.h"

namespace basin::report {

/// One line a level: its best setting, and which others cannot be told apart from it.
std::vector<std::string> Verdicts(const std::vector<SweepSetting>& settings, const SweepSummary& summary);
/// Two settings of one level a row: difference in points, 95 % interval, test, p, p after Holm.
Table ComparisonTable(const std::vector<SweepSetting>& settings, const SweepSummary& summary);
/// Accuracy of the average over bytes a rank, as SVG; what sends nothing is a line across.
std::string SweepPlot(const std::vector<SweepSetting>& settings, const SweepSummary& summary);

struct SweepPage {
  std::string title, state;         ///< state: how many runs are done
  std::vector<std::string> verdicts;
  std::string plot;                 ///< SVG
  Table settings, comparisons;
  std::vector<std::string> failures;
};
/// One HTML file that needs nothing else: no script, no font, no network; follows the reader's light or dark, wraps on a narrow screen.
std::string RenderPage(const SweepPage& page);

}  // namespace basin::report
