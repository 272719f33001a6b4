#include "trainer/sweep/folder.h"

#include <algorithm>
#include <fstream>
#include <map>
#include <sstream>

#include "base/error.h"
#include "base/json.h"
#include "trainer/config/difference.h"

namespace basin::trainer {
namespace {

namespace fs = std::filesystem;

/// The lines at the end of a file, the first of them perhaps cut; empty when it cannot be read.
std::vector<std::string> LastLines(const fs::path& path) {
  constexpr std::streamoff kTail = 8192;
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) return {};
  file.seekg(std::max<std::streamoff>(0, static_cast<std::streamoff>(file.tellg()) - kTail));
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(std::move(line));
  return lines;
}

}  // namespace

SweepFiles FilesOf(const fs::path& folder, const SweepRun& run) {
  std::string flat = run.name;
  std::replace(flat.begin(), flat.end(), '/', '-');
  const fs::path dir = folder / "runs" / run.name;
  return {.config = folder / "configs" / (flat + ".yaml"), .run_dir = dir, .log = fs::path(dir.string() + ".log")};
}

RunStage StageOf(const SweepFiles& files) {
  if (fs::exists(files.run_dir / "result.json")) return RunStage::kFinished;
  return fs::exists(files.run_dir / "config.yaml") ? RunStage::kStarted : RunStage::kNew;
}

void RefuseOtherConfigurations(const fs::path& folder, const SweepPlan& plan) {
  std::map<std::string, std::vector<std::string>> runs_of;  // by what differs
  for (const SweepRun& run : plan.runs) {
    const SweepFiles files = FilesOf(folder, run);
    if (StageOf(files) == RunStage::kNew) continue;
    const RunConfig before = ReadRunConfig(files.run_dir / "config.yaml");
    for (const std::string& line : DescribeDifferences(ComparableYaml(before), ComparableYaml(run.config), "the run that is there")) {
      runs_of[line].push_back(run.name);
    }
  }
  if (runs_of.empty()) return;
  std::string text = folder.string() + " holds runs of another configuration";
  for (const auto& [line, runs] : runs_of) {
    text += Text("\n  ", line, " (", runs.front(), runs.size() > 1 ? Text(" and ", runs.size() - 1, " more") : "", ")");
  }
  throw ConfigError(text + "\ngive the same values again, remove those runs, or choose another --out");
}

RunPosition PositionOf(const SweepFiles& files) {
  RunPosition position;
  const std::vector<std::string> lines = LastLines(files.run_dir / "metrics.jsonl");
  for (auto line = lines.rbegin(); line != lines.rend(); ++line) {
    const base::Json record = base::Json::parse(*line, nullptr, /*allow_exceptions=*/false);  // a line may be cut short
    if (!record.is_object() || record.value("kind", "") != "step") continue;
    position = {.step = record.value("step", int64_t{0}), .epoch = record.value("epoch", int64_t{0}), .known = true};
    if (record.contains("loss") && record["loss"].is_number()) position.loss = record["loss"].get<double>();
    break;
  }
  return position;
}

std::string LastWords(const SweepFiles& files) {
  const std::vector<std::string> lines = LastLines(files.log);
  const auto says = std::find_if(lines.rbegin(), lines.rend(), [](const std::string& line) {
    return line.find_first_not_of(" \t\r") != std::string::npos;
  });
  return says == lines.rend() ? "" : *says;
}

}  // namespace basin::trainer
