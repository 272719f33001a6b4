// basin report
#include <iostream>

#include "launch/commands.h"
#include "launch/run_table.h"

namespace basin::launch {

void AddReport(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("report", "finished runs beside each other");
  command->description(
      "A table of finished runs. A folder that holds several run directories (the seeds of one setting) becomes one row: mean and\n"
      "sample standard deviation. The barrier is B2 (barrier_linear) of the worst pair on test, statistics recomputed.\n\n"
      "  basin report runs/quickstart/independent runs/quickstart/wash");
  struct Arguments {
    std::vector<std::string> runs;
    bool markdown = false;
  };
  auto arguments = std::make_shared<Arguments>();
  const auto common = AddCommonOptions(*command);
  command->add_option("RUN", arguments->runs, "run directories, or folders of them")->required();
  command->add_flag("--markdown", arguments->markdown, "a Markdown table");
  command->callback([=, &action] {
    action = [=] {
      std::vector<RunRow> rows;
      for (const std::string& run : arguments->runs) rows.push_back(ReadRow(run));
      std::cout << (common->json ? RunsJson(rows).dump(2) : RunsText(rows, arguments->markdown)) << std::endl;
      return 0;
    };
  });
}

}  // namespace basin::launch
