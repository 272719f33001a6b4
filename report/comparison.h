// Finished runs beside each other: the table, who is not beaten, and the page.
#pragma once

#include <string>
#include <vector>

#include "report/figures.h"
#include "report/page.h"

namespace basin::report {

/// One run, or several that differ in their seed alone.
struct Setting {
  std::string name;
  std::string family{};  ///< settings of one family share a colour, e.g. the strategy; empty: a family of its own
  std::vector<RunFigures> runs;
};

/// A row a setting; means and sample standard deviations where there are several runs. `plus_minus` stands between the two.
Table SettingsTable(const std::vector<Setting>& settings, const std::string& plus_minus = " +- ");

/// The settings that no other beats: nobody has both fewer or equal bytes and a better or equal average (and one of them strictly).
/// By mean bytes a rank and mean test accuracy of the average, in the order of bytes; settings without these figures are left out.
std::vector<size_t> ParetoFront(const std::vector<Setting>& settings);

struct ComparedRuns {
  std::string title;
  std::string introduction{};           ///< a sentence under it; empty: how many settings and runs there are
  std::vector<std::string> verdicts{};  ///< the sentences of the first screen; empty: who is best, and who is on the front below
  std::vector<Setting> settings;
  std::vector<PageTable> tables{};  ///< more, after the table of settings: e.g. significance between strategies at equal bytes
};
/// One HTML file that needs nothing else: who is best at which cost, accuracy of the average against bytes with the Pareto front, members,
/// ensembles and averages of every setting, the table. Texts may hold anything; they are escaped.
std::string ComparisonPage(const ComparedRuns& compared);

}  // namespace basin::report
