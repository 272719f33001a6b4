#include "launch/run_table.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <iomanip>
#include <optional>

#include "base/error.h"
#include "report/statistics.h"

namespace basin::launch {
namespace {

using base::Json;

/// A figure of one run; nothing when the run has none (no soup, no pairs).
struct Column {
  const char* key;
  const char* header;
  double scale;  // of the printed value
  int digits;
  std::function<std::optional<double>(const Json&)> read;
};

std::optional<double> At(const Json& result, const char* object, const char* key) {
  if (!result.contains(object) || !result[object].is_object()) return std::nullopt;
  const Json& inner = result[object];
  if (!inner.contains(key) || !inner[key].is_number()) return std::nullopt;
  return inner[key].get<double>();
}

/// The largest B2 on the test split; with recomputed statistics where there are any.
std::optional<double> WorstBarrier(const Json& result) {
  std::optional<double> reset, none;
  for (const Json& entry : result.value("lmc", Json::array())) {
    if (entry["split"] != "test" || !entry["barrier_linear"].is_number()) continue;
    auto& worst = entry["renorm"] == "reset" ? reset : none;
    worst = std::max(worst.value_or(-INFINITY), entry["barrier_linear"].get<double>());
  }
  return reset ? reset : none;
}

const std::vector<Column>& Columns() {
  static const auto accuracy = [](const char* object) {
    return [object](const Json& result) { return At(result, object, "test_accuracy"); };
  };
  static const std::vector<Column> columns{
      {"mean_member", "mean member %", 100, 2, accuracy("mean_member")},
      {"ensemble", "ensemble %", 100, 2, accuracy("ensemble")},
      {"average", "average %", 100, 2, accuracy("average")},
      {"average_raw", "without BN reset %", 100, 2, accuracy("average_raw")},
      {"soup", "soup %", 100, 2, accuracy("soup")},
      {"worst_barrier", "worst barrier B2", 1, 3, WorstBarrier},
      {"payload_per_rank", "kB/rank", 1e-3, 1, [](const Json& r) { return At(r, "bytes", "payload_per_rank"); }},
      {"train", "train s", 1, 1, [](const Json& r) { return At(r, "seconds", "train"); }},
      {"exchange", "exchange s", 1, 2, [](const Json& r) { return At(r, "seconds", "exchange"); }},
  };
  return columns;
}

using report::Summary;

Summary Summarise(const RunRow& row, const Column& column) {
  std::vector<double> values;
  for (const Json& result : row.results) {
    if (const auto value = column.read(result)) values.push_back(*value);
  }
  return report::Summarise(values);
}

std::string Cell(const Summary& statistic, const Column& column) {
  if (statistic.count == 0) return "-";
  char text[64];
  if (statistic.count == 1) {
    std::snprintf(text, sizeof text, "%.*f", column.digits, statistic.mean * column.scale);
  } else {
    std::snprintf(text, sizeof text, "%.*f +- %.*f", column.digits, statistic.mean * column.scale, column.digits,
                  statistic.sd * column.scale);
  }
  return text;
}

}  // namespace

RunRow ReadRow(const std::filesystem::path& path) {
  RunRow row{.name = path.lexically_normal().filename().string()};
  if (row.name.empty()) row.name = path.parent_path().filename().string();
  if (std::filesystem::exists(path / "result.json")) {
    row.results.push_back(base::ReadJson(path / "result.json"));
    return row;
  }
  std::vector<std::filesystem::path> seeds;
  if (std::filesystem::is_directory(path)) {
    for (const auto& entry : std::filesystem::directory_iterator(path)) {
      if (std::filesystem::exists(entry.path() / "result.json")) seeds.push_back(entry.path());
    }
  }
  std::sort(seeds.begin(), seeds.end());
  for (const auto& seed : seeds) row.results.push_back(base::ReadJson(seed / "result.json"));
  if (row.results.empty()) {
    throw DataError(Text(path.string(), ": neither a finished run (result.json) nor a folder of finished runs"));
  }
  return row;
}

report::Table RunsTable(const std::vector<RunRow>& rows) {
  const bool groups = std::any_of(rows.begin(), rows.end(), [](const RunRow& row) { return row.results.size() > 1; });
  std::vector<std::string> headers{"run"};
  if (groups) headers.push_back("seeds");
  for (const Column& column : Columns()) headers.push_back(column.header);
  report::Table table(headers);
  for (const RunRow& row : rows) {
    std::vector<std::string> cells{row.name};
    if (groups) cells.push_back(std::to_string(row.results.size()));
    for (const Column& column : Columns()) cells.push_back(Cell(Summarise(row, column), column));
    table.AddRow(cells);
  }
  return table;
}

std::string RunsText(const std::vector<RunRow>& rows, bool markdown) {
  const report::Table table = RunsTable(rows);
  return markdown ? table.RenderMarkdown() : table.Render();
}

std::string RunsCsv(const std::vector<RunRow>& rows) {
  std::string csv = "name,runs";
  for (const Column& column : Columns()) csv += Text(",", column.key, "_mean,", column.key, "_sd");
  csv += '\n';
  for (const RunRow& row : rows) {
    csv += Text(row.name, ",", row.results.size());
    for (const Column& column : Columns()) {
      const Summary statistic = Summarise(row, column);
      csv += statistic.count == 0 ? ",," : Text(std::setprecision(17), ",", statistic.mean, ",", statistic.sd);
    }
    csv += '\n';
  }
  return csv;
}

Json RunsJson(const std::vector<RunRow>& rows) {
  Json list = Json::array();
  for (const RunRow& row : rows) {
    Json entry{{"name", row.name}, {"runs", row.results.size()}};
    for (const Column& column : Columns()) {
      const Summary statistic = Summarise(row, column);
      entry[column.key] = statistic.count == 0 ? Json(nullptr) : Json{{"mean", statistic.mean}, {"sd", statistic.sd}};
    }
    list.push_back(std::move(entry));
  }
  return list;
}

}  // namespace basin::launch
