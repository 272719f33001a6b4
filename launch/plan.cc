// basin plan
#include <cmath>
#include <iostream>

#include "base/error.h"
#include "base/units.h"
#include "launch/commands.h"
#include "report/progress.h"
#include "report/table.h"
#include "trainer/plan/planning.h"

namespace basin::launch {
namespace {

struct PlanArguments {
  std::string config;
  std::optional<std::string> link, budget;
  int members = 0;
  bool probe = false;
};

constexpr const char* kAbout =
    "Predict what the exchanges of a run cost, before it runs: bytes, messages and seconds of every strategy (the configured one,\n"
    "marked with *, at its settings, the others at their defaults), a rank's memory, and what each would have to be set to to keep a\n"
    "budget. Seconds are of transfers, packing and averaging: waiting for slower members and renormalisation come on top.\n\n"
    "The network is given (--link), measured (--probe: between the processes of mpirun, alone between threads), or the one that the\n"
    "configuration emulates (comm.emulate); without any of them there are no seconds. The data set need not be here.\n\n"
    "  basin plan configs/quickstart.yaml --link 1Gbps,50us --budget 50MB\n"
    "  basin plan configs/quickstart.yaml --link 100Mbps,5ms --members 8 --budget 2KB/step\n"
    "  mpirun -n 4 basin plan configs/quickstart.yaml --probe";

constexpr std::string_view kAStep = "/step";

std::string Bytes(double bytes) { return report::FormatBytes(std::llround(bytes)); }
std::string Seconds(std::optional<double> seconds) { return seconds ? report::FormatNumber(*seconds, 3) : "-"; }
std::string Milliseconds(std::optional<double> seconds) { return seconds ? report::FormatNumber(1e3 * *seconds, 3) : "-"; }

std::string StrategiesText(const trainer::Planned& planned) {
  report::Table table(
      {"", "strategy", "exchanges", "bytes a step", "bytes a rank", "messages", "exchange ms a step", "exchange s", "memory"});
  const auto steps = static_cast<double>(planned.shape.total_steps);
  for (const trainer::PlannedStrategy& row : planned.strategies) {
    const trainer::Forecast& forecast = row.forecast;
    const std::string most = forecast.is_known ? "" : "<= ";  // the clock decides
    const auto a_step = row.seconds ? std::optional(*row.seconds / steps) : std::nullopt;
    table.AddRow({row.configured ? "*" : "", std::string(trainer::StrategyName(row.options)), Text(most, forecast.exchanges),
                  most + Bytes(forecast.bytes_per_rank / steps), most + Bytes(forecast.bytes_per_rank),
                  Text(most, std::llround(forecast.messages_per_rank)), Milliseconds(a_step), Seconds(row.seconds),
                  Bytes(row.peak_bytes)});
  }
  return table.Render();
}

std::string SettingsText(const trainer::Planned& planned) {
  std::string text;
  for (const trainer::PlannedStrategy& row : planned.strategies) {
    text += Text(row.configured ? "* " : "  ", trainer::StrategyText(row.options), "\n");
  }
  return text;
}

std::string BudgetText(const trainer::Planned& planned) {
  std::string text = Text("\nto send ", Bytes(*planned.budget), " a rank (",
                          Bytes(*planned.budget / static_cast<double>(planned.shape.total_steps)), " a step):\n");
  report::Table table({"strategy", "set to", "bytes a rank"});
  std::string settings, refusals;
  for (const trainer::FittedStrategy& row : planned.fitted) {
    const std::string name(trainer::StrategyName(row.options));
    if (!row.refusal.empty()) {
      refusals += "  " + name + ": " + row.refusal + "\n";
      continue;
    }
    table.AddRow({name, row.how, Bytes(row.forecast.bytes_per_rank)});
    settings += "  --set 'strategy=" + trainer::StrategyText(row.options) + "'\n";
  }
  if (table.num_rows() > 0) text += table.Render() + settings;
  return refusals.empty() ? text : text + "not possible:\n" + refusals;
}

std::string NetworkText(const trainer::Planned& planned) {
  if (planned.probed) return planned.link ? "measured on the emulated link " + comm::LinkText(*planned.link) : "measured here";
  return planned.link ? "link " + comm::LinkText(*planned.link) : "no link given: --link 1Gbps,50us, or --probe under mpirun, adds seconds";
}

std::string PlanText(const trainer::Planned& planned) {
  std::string text = Text(planned.shape.members, " members of ", planned.config.model.name, " (", planned.shape.num_parameters,
                          " parameters), ", planned.shape.total_steps, " steps; ", NetworkText(planned), "\n");
  if (planned.data_as_published) text += Text("the files of ", planned.config.data.name, " are not here: its size is as published\n");
  text += "\n" + StrategiesText(planned) + "\n" + SettingsText(planned);
  return planned.budget ? text + BudgetText(planned) : text;
}

trainer::PlanRequest Request(const PlanArguments& arguments, const CommonOptions& common) {
  trainer::PlanRequest request{.config_file = arguments.config, .overrides = common.set, .probe = arguments.probe};
  if (arguments.members > 0) request.members = arguments.members;
  if (arguments.link) request.link = comm::ParseLink(*arguments.link);
  if (!arguments.budget) return request;
  std::string_view size = *arguments.budget;
  request.budget_is_a_step = size.ends_with(kAStep);
  if (request.budget_is_a_step) size.remove_suffix(kAStep.size());
  request.budget = base::ParseBytes(size);
  constexpr double kMost = 1e18;  // counts are 64-bit integers
  if (*request.budget > kMost) throw ConfigError(Text("--budget ", *arguments.budget, ": allowed are at most 1e18 bytes"));
  if (*request.budget == 0) throw ConfigError("--budget is 0; strategy {name: independent} sends nothing, everything else sends something");
  return request;
}

int Plan(const PlanArguments& arguments, const CommonOptions& common) {
  if (arguments.probe && arguments.link) {
    throw ConfigError("--link and --probe are two answers to one question: give the network, or measure it");
  }
  const auto planned = trainer::PlanRun(Request(arguments, common));
  if (!planned) return 0;
  if (common.json) {
    std::cout << planned->AsJson().dump(2) << std::endl;
  } else if (!common.quiet) {
    std::cout << PlanText(*planned) << std::flush;
  }
  return 0;
}

}  // namespace

void AddPlan(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("plan", "predict bytes, messages and seconds of every strategy");
  command->description(kAbout);
  auto arguments = std::make_shared<PlanArguments>();
  const auto common = AddCommonOptions(*command);
  command->add_option("CONFIG.yaml", arguments->config, "the configuration")->required();
  command->add_option("--link", arguments->link, "rate and latency of each rank's line, full duplex")->type_name("RATE,LATENCY");
  command->add_option("--members", arguments->members, "instead of population.members")->check(CLI::Range(1, 4096));
  command->add_option("--budget", arguments->budget, "what every strategy must be set to to send so much a rank: 50MB (run) or 2KB/step")
      ->type_name("BYTES[/step]");
  command->add_flag("--probe", arguments->probe, "measure the network between the members");
  command->callback([=, &action] { action = [=] { return Plan(*arguments, *common); }; });
}

}  // namespace basin::launch
