#include "launch/sweep_result.h"

#include <algorithm>

#include "base/error.h"
#include "base/files.h"
#include "report/sweep_view.h"

namespace basin::launch {
namespace {

using base::Json;
using Stage = trainer::RunState::Stage;

const char* StageName(Stage stage) {
  switch (stage) {
    case Stage::kWaiting: return "waiting";
    case Stage::kRunning: return "running";
    case Stage::kFinished: return "finished";
    case Stage::kFailed: return "failed";
    case Stage::kStopped: return "stopped";
  }
  return "";
}

report::SeedResult ReadSeed(uint64_t seed, const Json& result, const std::filesystem::path& file) {
  try {
    return {.seed = static_cast<int64_t>(seed),
            .accuracy = result.at("average").at("test_accuracy").get<double>(),
            .bytes = result.at("bytes").at("payload_per_rank").get<double>()};
  } catch (const Json::exception& failure) {
    throw DataError(Text(file.string(), ": is no result of a run: ", failure.what()));
  }
}

std::string StateText(const std::vector<trainer::RunState>& states) {
  const auto count = [&](Stage stage) { return std::ranges::count(states, stage, &trainer::RunState::stage); };
  std::string text = Text(count(Stage::kFinished), " of ", states.size(), " runs are done");
  if (count(Stage::kFailed) > 0) text += Text(", ", count(Stage::kFailed), " failed");
  if (count(Stage::kStopped) > 0) text += Text(", ", count(Stage::kStopped), " stopped");
  if (count(Stage::kRunning) > 0) text += Text(", ", count(Stage::kRunning), " running");
  return text;
}

Json ResultJson(const SweepResult& result) {
  Json json{{"format", 1}, {"title", result.title}, {"state", result.state}, {"settings", RunsJson(result.rows)}};
  json.update(report::SummaryJson(result.settings, result.summary));
  json["runs"] = result.runs;
  return json;
}

}  // namespace

SweepResult ReadSweepResult(const trainer::SweepPlan& plan, const std::filesystem::path& folder,
                            const std::vector<trainer::RunState>& states) {
  SweepResult result{.title = plan.name, .state = StateText(states), .runs = Json::array()};
  for (size_t cell = 0; cell < plan.cells.size(); ++cell) {
    report::Setting row{.name = plan.cells[cell].name};
    report::SweepSetting setting{.name = row.name, .group = plan.cells[cell].group, .is_control = plan.cells[cell].is_control};
    for (size_t k = 0; k < plan.runs.size(); ++k) {
      const trainer::SweepRun& run = plan.runs[k];
      if (run.cell != cell || states[k].stage != Stage::kFinished) continue;
      setting.strategy = trainer::StrategyName(run.config.strategy);
      const std::filesystem::path file = trainer::FilesOf(folder, run).run_dir / "result.json";
      const Json content = base::ReadJson(file);
      row.runs.push_back(report::FiguresOf(content));
      row.family = setting.strategy;
      setting.results.push_back(ReadSeed(run.config.seed, content, file));
    }
    if (row.runs.empty()) continue;
    result.rows.push_back(std::move(row));
    result.settings.push_back(std::move(setting));
  }
  for (size_t k = 0; k < plan.runs.size(); ++k) {
    const trainer::RunState& state = states[k];
    Json entry{{"name", plan.runs[k].name}, {"state", StageName(state.stage)}};
    if (state.seconds > 0) entry["seconds"] = state.seconds;
    if (state.stage == Stage::kFailed) {
      entry.update({{"exit_code", state.exit_code}, {"message", state.message}});
      result.failures.push_back(Text(plan.runs[k].name, ": exit code ", state.exit_code, ": ", state.message, " (log: ",
                                     trainer::FilesOf(folder, plan.runs[k]).log.string(), ")"));
    }
    result.runs.push_back(std::move(entry));
  }
  result.summary = report::SummariseSweep(result.settings);
  return result;
}

std::string SweepResultText(const SweepResult& result, SweepFormat format) {
  if (format == SweepFormat::kJson) return ResultJson(result).dump(2) + "\n";
  if (format == SweepFormat::kCsv) return RunsCsv(result.rows);
  const bool markdown = format == SweepFormat::kMarkdown;
  const report::Table comparisons = report::ComparisonTable(result.settings, result.summary);
  std::string text = RunsText(result.rows, markdown) + "\n";
  if (comparisons.num_rows() > 0) text += (markdown ? comparisons.RenderMarkdown() : comparisons.Render()) + "\n";
  for (const std::string& line : report::Verdicts(result.settings, result.summary)) text += (markdown ? "* " : "") + line + "\n";
  for (const std::string& line : result.failures) text += (markdown ? "* failed: " : "failed: ") + line + "\n";
  return text;
}

void WriteSweepResult(const SweepResult& result, const std::filesystem::path& folder) {
  base::WriteJson(folder / "sweep.json", ResultJson(result));
  base::WriteFileAtomically(folder / "sweep.csv", RunsCsv(result.rows));
  const report::ComparedRuns page = report::SweepPage("Sweep " + result.title, result.state, result.rows, result.settings, result.summary, result.failures);
  base::WriteFileAtomically(folder / "sweep.html", report::ComparisonPage(page));
}

}  // namespace basin::launch
