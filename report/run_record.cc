#include "report/run_record.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <string_view>

#include "base/error.h"
#include "base/files.h"

namespace basin::report {
namespace {

namespace fs = std::filesystem;

constexpr double kMissing = std::numeric_limits<double>::quiet_NaN();

/// The numbers and words of one flat record, found without building an object of each: a long run has a hundred thousand.
class FlatRecord {
 public:
  enum Key { kTime, kStep, kMember, kLr, kLoss, kAccuracy, kBytes, kSeconds, kConsensus, kNumKeys };

  void Clear() {
    std::fill(values_, values_ + kNumKeys, kMissing);
    kind_.clear();
    depth_ = 0;
  }
  const std::string& kind() const { return kind_; }
  double operator[](Key key) const { return values_[key]; }

  // nlohmann's events, in the order of the text.
  bool null() { return true; }
  bool boolean(bool) { return true; }
  bool number_integer(int64_t value) { return Number(static_cast<double>(value)); }
  bool number_unsigned(uint64_t value) { return Number(static_cast<double>(value)); }
  bool number_float(double value, const std::string&) { return Number(value); }
  bool string(std::string& value) {
    if (depth_ == 1 && is_kind_) kind_ = value;
    return true;
  }
  bool binary(base::Json::binary_t&) { return true; }
  bool start_object(size_t) { return Enter(); }
  bool end_object() { return Leave(); }
  bool start_array(size_t) { return Enter(); }
  bool end_array() { return Leave(); }
  bool key(const std::string& name) {
    static constexpr std::string_view kNames[kNumKeys]{"time",  "step",    "member",           "lr", "loss", "accuracy",
                                                       "bytes", "seconds", "consensus_squared"};
    is_kind_ = name == "kind";
    key_ = std::find(kNames, kNames + kNumKeys, name) - kNames;
    return true;
  }
  bool parse_error(size_t, const std::string&, const base::Json::exception&) { return false; }

 private:
  bool Enter() {
    ++depth_;
    return true;
  }
  bool Leave() {
    --depth_;
    return true;
  }
  bool Number(double value) {
    if (depth_ == 1 && key_ < kNumKeys) values_[key_] = value;
    return true;
  }

  double values_[kNumKeys];
  std::string kind_;
  std::ptrdiff_t key_ = kNumKeys;
  int depth_ = 0;
  bool is_kind_ = false;
};

/// NaN is none, and what does not fit an integer is a slip.
bool IsCount(double value) { return value >= 0 && value < 1e15; }

void Keep(RunRecord& run, const FlatRecord& record, std::string_view line) {
  using Key = FlatRecord;
  const std::string& kind = record.kind();
  const double step = record[Key::kStep];
  if (kind == "event") {
    run.events.push_back({static_cast<int64_t>(step), record[Key::kTime], base::Json::parse(line)});
    return;
  }
  if (kind == "population") {
    run.consensus_step.push_back(step);
    run.consensus_squared.push_back(record[Key::kConsensus]);
    return;
  }
  MemberTrack& member = run.members[static_cast<int64_t>(record[Key::kMember])];
  if (kind == "step") {
    member.steps.step.push_back(step);
    member.steps.loss.push_back(record[Key::kLoss]);
    member.steps.lr.push_back(record[Key::kLr]);
  } else if (kind == "eval") {
    member.evals.step.push_back(step);
    member.evals.loss.push_back(record[Key::kLoss]);
    member.evals.accuracy.push_back(record[Key::kAccuracy]);
  } else if (kind == "exchange") {
    member.exchanges.step.push_back(step);
    member.exchanges.bytes.push_back(record[Key::kBytes]);
    member.exchanges.seconds.push_back(record[Key::kSeconds]);
  }
}

void ReadMetrics(RunRecord& run, const fs::path& path) {
  const base::MappedFile file(path);
  const std::string_view text(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
  FlatRecord record;
  int64_t number = 1;
  for (size_t begin = 0; begin < text.size(); ++number) {
    const size_t end = text.find('\n', begin);
    if (end == std::string_view::npos) break;  // a writer is at it
    const std::string_view line = text.substr(begin, end - begin);
    record.Clear();
    const bool whole = base::Json::sax_parse(line, &record) && IsCount(record[FlatRecord::kStep]) && IsCount(record[FlatRecord::kMember]);
    if (!whole) throw DataError(Text(path.string(), ":", number, ": not a record of a run; it needs kind, step and member"));
    Keep(run, record, line);
    if (run.first_time == 0) run.first_time = record[FlatRecord::kTime];
    run.first_time = std::min(run.first_time, record[FlatRecord::kTime]);
    run.last_time = std::max(run.last_time, record[FlatRecord::kTime]);
    begin = end + 1;
  }
}

std::vector<std::string> Fields(std::string_view line) {
  std::vector<std::string> fields;
  for (size_t begin = 0; begin <= line.size();) {
    const size_t end = std::min(line.find(',', begin), line.size());
    fields.emplace_back(line.substr(begin, end - begin));
    begin = end + 1;
  }
  return fields;
}

double NumberIn(const std::string& field) {
  double value = kMissing;
  const auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), value);
  return error == std::errc() && end == field.data() + field.size() ? value : kMissing;
}

/// Columns by the names in the first line; points of one line (a, b, split, renorm) follow each other.
void ReadPaths(RunRecord& run, const fs::path& path) {
  const std::string text = base::ReadFile(path);
  const std::vector<std::string> header{"a", "b", "lambda", "split", "loss", "accuracy", "renorm"};
  int64_t number = 1;
  for (size_t begin = 0; begin < text.size(); ++number) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::vector<std::string> row = Fields(std::string_view(text).substr(begin, end - begin));
    begin = end + 1;
    const bool is_header = number == 1 && row == header;
    const bool is_row =
        number > 1 && row.size() == header.size() && NumberIn(row[0]) >= 0 && NumberIn(row[1]) >= 0 && NumberIn(row[2]) >= 0;
    if (!is_header && !is_row)
      throw DataError(Text(path.string(), ":", number, ": not a point of a line; the columns are a,b,lambda,split,loss,accuracy,renorm"));
    if (is_header) continue;
    const auto a = static_cast<int64_t>(NumberIn(row[0])), b = static_cast<int64_t>(NumberIn(row[1]));
    const bool goes_on = !run.paths.empty() && run.paths.back().a == a && run.paths.back().b == b && run.paths.back().split == row[3] &&
                         run.paths.back().renorm == row[6];
    if (!goes_on) run.paths.push_back({.a = a, .b = b, .split = row[3], .renorm = row[6]});
    run.paths.back().lambda.push_back(NumberIn(row[2]));
    run.paths.back().loss.push_back(NumberIn(row[4]));
    run.paths.back().accuracy.push_back(NumberIn(row[5]));
  }
}

}  // namespace

RunRecord ReadRun(const fs::path& dir) {
  RunRecord run{.name = FolderName(dir)};
  const bool finished = fs::exists(dir / "result.json"), has_metrics = fs::exists(dir / "metrics.jsonl");
  if (!finished && !has_metrics) {
    throw DataError(Text(dir.string(), ": neither result.json nor metrics.jsonl is there; this is no run directory"));
  }
  if (finished) run.result = base::ReadJson(dir / "result.json");
  if (finished && !run.result.is_object()) throw DataError(Text((dir / "result.json").string(), ": not a JSON object"));
  if (has_metrics) ReadMetrics(run, dir / "metrics.jsonl");
  if (fs::exists(dir / "lmc.csv")) ReadPaths(run, dir / "lmc.csv");
  if (fs::exists(dir / "config.yaml")) run.config = base::ReadFile(dir / "config.yaml");
  return run;
}

std::string FolderName(const fs::path& dir) {
  fs::path path = fs::absolute(dir).lexically_normal();
  if (!path.has_filename()) path = path.parent_path();
  return path.filename().string();
}

}  // namespace basin::report
