// basin report
#include <iostream>

#include "base/error.h"
#include "base/files.h"
#include "launch/commands.h"
#include "launch/run_table.h"
#include "report/run_page.h"

namespace basin::launch {
namespace {

struct ReportArguments {
  std::vector<std::string> runs;
  std::string out;
  bool markdown = false;
};

constexpr const char* kAbout =
    "A table of finished runs. A folder that holds several run directories (the seeds of one setting) becomes one row: mean and\n"
    "sample standard deviation. The barrier is B2 (barrier_linear) of the worst pair on test, statistics recomputed.\n"
    "With --out also one HTML file that needs no network and no other file: of one run its curves, scores, barriers, bytes, events and\n"
    "configuration, finished or not; of several the accuracy of their averages against the bytes they sent.\n\n"
    "  basin report runs/quickstart/independent runs/quickstart/wash\n"
    "  basin report runs/quickstart/wash --out wash.html";

/// One run directory, and not a folder of them.
bool IsOneRun(const ReportArguments& arguments) {
  if (arguments.runs.size() != 1) return false;
  const std::filesystem::path dir = arguments.runs[0];
  return std::filesystem::exists(dir / "result.json") || std::filesystem::exists(dir / "metrics.jsonl");
}

int Report(const ReportArguments& arguments, const CommonOptions& common) {
  const bool one_run = IsOneRun(arguments);
  const bool unfinished = one_run && !std::filesystem::exists(std::filesystem::path(arguments.runs[0]) / "result.json");
  if (unfinished && arguments.out.empty()) {
    throw DataError(
        Text(arguments.runs[0], ": this run is not finished (no result.json); with --out FILE.html its curves so far are drawn"));
  }
  std::vector<report::Setting> rows;
  for (const std::string& run : arguments.runs) {
    if (!unfinished) rows.push_back(ReadRow(run));
  }
  if (!arguments.out.empty()) {
    if (one_run) {
      report::WriteRunPage(arguments.runs[0], arguments.out);
    } else {
      base::WriteFileAtomically(arguments.out, report::ComparisonPage({.title = "Comparison of runs", .settings = rows}));
    }
  }
  if (common.json) {
    std::cout << RunsJson(rows).dump(2) << std::endl;
  } else if (!unfinished && !common.quiet) {
    std::cout << RunsText(rows, arguments.markdown) << std::endl;
  }
  if (!arguments.out.empty()) (common.json ? std::cerr : std::cout) << "report: " << arguments.out << std::endl;
  return 0;
}

}  // namespace

void AddReport(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("report", "finished runs beside each other, and pages for a browser");
  command->description(kAbout);
  auto arguments = std::make_shared<ReportArguments>();
  const auto common = AddCommonOptions(*command);
  command->add_option("RUN", arguments->runs, "run directories, or folders of them")->required();
  command->add_option("--out", arguments->out, "write one HTML file")->type_name("FILE.html");
  command->add_flag("--markdown", arguments->markdown, "a Markdown table");
  command->callback([=, &action] { action = [=] { return Report(*arguments, *common); }; });
}

}  // namespace basin::launch
