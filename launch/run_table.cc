#include "launch/run_table.h"

#include <algorithm>
#include <iomanip>

#include "base/error.h"
#include "report/lookup.h"
#include "report/run_record.h"

namespace basin::launch {
namespace {

using base::Json;

bool IsFinished(const std::filesystem::path& dir) { return std::filesystem::exists(dir / "result.json"); }

void AddRun(report::Setting& row, const std::filesystem::path& dir) {
  const Json result = base::ReadJson(dir / "result.json");
  if (row.runs.empty()) row.family = report::TextAt(result, {"strategy"});
  row.runs.push_back(report::FiguresOf(result));
}

}  // namespace

report::Setting ReadRow(const std::filesystem::path& path) {
  report::Setting row{.name = report::FolderName(path)};
  std::vector<std::filesystem::path> dirs;
  if (IsFinished(path)) {
    dirs.push_back(path);
  } else if (std::filesystem::is_directory(path)) {
    for (const auto& entry : std::filesystem::directory_iterator(path)) {
      if (IsFinished(entry.path())) dirs.push_back(entry.path());
    }
  }
  std::sort(dirs.begin(), dirs.end());
  for (const auto& dir : dirs) AddRun(row, dir);
  if (row.runs.empty()) throw DataError(Text(path.string(), ": neither a finished run (result.json) nor a folder of finished runs"));
  return row;
}

std::string RunsText(const std::vector<report::Setting>& rows, bool markdown) {
  const report::Table table = report::SettingsTable(rows);
  return markdown ? table.RenderMarkdown() : table.Render();
}

std::string RunsCsv(const std::vector<report::Setting>& rows) {
  std::string csv = "name,runs";
  for (const report::FigureColumn& column : report::FigureColumns()) csv += Text(",", column.key, "_mean,", column.key, "_sd");
  csv += '\n';
  for (const report::Setting& row : rows) {
    csv += Text(row.name, ",", row.runs.size());
    for (const report::FigureColumn& column : report::FigureColumns()) {
      const report::Summary statistic = report::Summarise(row.runs, column.field);
      csv += statistic.count == 0 ? ",," : Text(std::setprecision(17), ",", statistic.mean, ",", statistic.sd);
    }
    csv += '\n';
  }
  return csv;
}

Json RunsJson(const std::vector<report::Setting>& rows) {
  Json list = Json::array();
  for (const report::Setting& row : rows) {
    Json entry{{"name", row.name}, {"runs", row.runs.size()}};
    for (const report::FigureColumn& column : report::FigureColumns()) {
      const report::Summary statistic = report::Summarise(row.runs, column.field);
      entry[column.key] = statistic.count == 0 ? Json(nullptr) : Json{{"mean", statistic.mean}, {"sd", statistic.sd}};
    }
    list.push_back(std::move(entry));
  }
  return list;
}

}  // namespace basin::launch
