#include "report/run_page.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <ctime>

#include "base/error.h"
#include "base/files.h"
#include "report/lookup.h"
#include "report/page.h"
#include "report/progress.h"
#include "report/result_tables.h"
#include "report/run_cards.h"
#include "report/run_charts.h"
#include "report/svg.h"
#include "report/verdict.h"

namespace basin::report {
namespace {

std::string NameOf(const RunRecord& run) {
  const std::string name = TextAt(run.result, {"name"});
  return name.empty() ? run.name : name;
}

std::string BytesText(double bytes) { return FormatBytes(std::llround(bytes)); }

/// UTC, to the minute: the page must not depend on where it is made.
std::string TimeText(double unix_seconds) {
  const auto seconds = static_cast<std::time_t>(unix_seconds);
  std::tm parts{};
  char text[64];
  gmtime_r(&seconds, &parts);
  return {text, std::strftime(text, sizeof text, "%Y-%m-%d %H:%M UTC", &parts)};
}

std::string Counted(double count, const char* one, const char* many) {
  return std::to_string(std::llround(count)) + ' ' + (count == 1 ? one : many);
}

/// What was run, in a line.
std::string Where(const RunRecord& run) {
  std::string text;
  const auto add = [&](const std::string& part) {
    if (!part.empty()) text += (text.empty() ? "" : " \u00b7 ") + part;
  };
  const base::Json& result = run.result;
  add(TextAt(result, {"strategy"}));
  if (const auto members = NumberAt(result, {"members"})) add(Counted(*members, "member", "members"));
  const std::string model = TextAt(result, {"model"}), data = TextAt(result, {"data", "name"});
  if (!model.empty() && !data.empty()) add(model + " on " + data);
  if (const auto steps = NumberAt(result, {"steps"})) add(Counted(*steps, "step", "steps"));
  if (NumberAt(result, {"seed"})) add("seed " + ValueAt(result, {"seed"}).dump());
  if (!TextAt(result, {"backend"}).empty()) add("backend " + TextAt(result, {"backend"}));
  if (run.last_time > 0) add(TimeText(run.last_time));
  return text;
}

std::string CostText(const base::Json& result) {
  const auto bytes = NumberAt(result, {"bytes", "payload_per_rank"}), exchanges = NumberAt(result, {"bytes", "exchanges"});
  if (!bytes || !exchanges) return "";
  if (*exchanges == 0) return " Nothing was exchanged.";
  std::string text = " For this each rank sent " + BytesText(*bytes) + " in " + Counted(*exchanges, "exchange", "exchanges");
  const auto exchange = NumberAt(result, {"seconds", "exchange"}), train = NumberAt(result, {"seconds", "train"});
  if (exchange && train && *exchange + *train > 0)
    text += ", " + FormatPercent(*exchange / (*exchange + *train), 1) + " of the time spent in steps";
  return text + ".";
}

void AddVerdict(Page& page, const RunRecord& run) {
  page.Html("<header>\n<h1>" + Escaped(NameOf(run)) + "</h1>\n");
  page.Paragraph("where", Where(run));
  if (run.result.is_null()) {
    page.Paragraph("verdict", "This run is not finished.");
    page.Paragraph("lead", "There is no result yet; below is what its records hold so far.");
  } else {
    const Verdict verdict = VerdictOf(run.result);
    const bool good = verdict.kind == Verdict::Kind::kGood, bad = verdict.kind == Verdict::Kind::kBad;
    page.Paragraph(good ? "verdict good" : bad ? "verdict bad" : "verdict", verdict.sentence);
    page.Paragraph("lead", verdict.grounds + CostText(run.result));
  }
  page.Html("</header>\n");
}

Table LedgerTable(const base::Json& result) {
  Table table({"a rank, whole run", "predicted", "counted", "difference"});
  const auto add = [&](const char* name, const char* predicted_key, const char* counted_key, bool bytes) {
    const auto predicted = NumberAt(result, {"bytes", predicted_key}), counted = NumberAt(result, {"bytes", counted_key});
    if (!counted) return;
    const auto text = [&](double value) { return bytes ? BytesText(value) : std::to_string(std::llround(value)); };
    const std::string difference = predicted && *predicted > 0 ? FormatPercent((*counted - *predicted) / *predicted, 2) : "-";
    table.AddRow({name, predicted ? text(*predicted) : "-", text(*counted), difference});
  };
  add("payload", "predicted_per_rank", "payload_per_rank", true);
  add("messages", "predicted_messages_per_rank", "messages_per_rank", false);
  return table;
}

std::string LedgerNote(const base::Json& result) {
  const auto predicted = NumberAt(result, {"bytes", "predicted_per_rank"}), deviation = NumberAt(result, {"bytes", "predicted_stddev"});
  if (!predicted) return "Members were lost: what was predicted for all of them no longer holds.";
  if (deviation && *deviation > 0) {
    return "The coordinates are drawn at random: the prediction has a standard deviation of " + BytesText(*deviation) + " (" +
           FormatPercent(*predicted > 0 ? *deviation / *predicted : 0, 2) + ").";
  }
  return "The prediction is exact: what is sent does not depend on a draw.";
}

std::string EventText(const base::Json& fields) {
  if (TextAt(fields, {"event"}) != "lost") {
    base::Json rest = fields;
    for (const char* key : {"kind", "time", "step", "epoch", "member"}) rest.erase(key);
    return rest.dump(-1, ' ', false, base::Json::error_handler_t::replace);
  }
  std::string text;
  for (const base::Json& lost : ListAt(fields, "lost")) {
    text += (text.empty() ? "" : "; ") + Text("member ", ValueAt(lost, {"member"}).dump(), " lost: ", TextAt(lost, {"reason"}));
  }
  return text + Text("; ", ListAt(fields, "members").size(), " members go on");
}

void AddEvents(Page& page, const RunRecord& run) {
  page.Section("Events");
  if (run.events.empty()) {
    page.Paragraph("note", "None: no member was lost.");
    return;
  }
  Table table({"step", "after", "what"});
  for (const EventRecord& event : run.events) {
    table.AddRow({std::to_string(event.step), FormatDuration(event.time - run.first_time), EventText(event.fields)});
  }
  page.Add(PageTable{.table = table});
}

void AddVersions(Page& page, const RunRecord& run) {
  page.Section("How it was run");
  Table table({"what", "version or value"});
  for (const auto& [name, version] : ValueAt(run.result, {"versions"}).items()) {
    if (version.is_string()) table.AddRow({name, version.get<std::string>()});
  }
  for (const char* key : {"backend", "config_hash"}) {
    if (!TextAt(run.result, {key}).empty()) table.AddRow({key, TextAt(run.result, {key})});
  }
  if (table.num_rows() > 0) page.Add(PageTable{.table = table});
  if (!run.config.empty()) page.Fold("Configuration", run.config);
}

void AddPaths(Page& page, const RunRecord& run) {
  const std::vector<Chart> charts = PathCharts(run);
  const base::Json& entries = ListAt(run.result, "lmc");
  if (charts.empty() && entries.empty()) return;
  page.Section(
      "Lines between members",
      "Networks on the straight line from one member to another. Flat lines mean one basin: then averaging the weights loses nothing. "
      "Recomputing batch-norm statistics is part of using an average.");
  page.Add(charts);
  page.Html("<div class=\"charts\">\n" + BarrierMap(run.result) + "</div>\n");
  if (!entries.empty()) page.Fold("All barriers", PageTable{.table = BarrierTable(entries)});
}

void AddExchanges(Page& page, const RunRecord& run) {
  const std::vector<Chart> charts = ExchangeCharts(run);
  if (run.result.is_object() && NumberAt(run.result, {"bytes", "payload_per_rank"}).value_or(0) > 0) {
    page.Section("What was exchanged", LedgerNote(run.result));
    page.Add(PageTable{.table = LedgerTable(run.result)});
  } else if (!charts.empty()) {
    page.Section("What was exchanged");
  }
  page.Add(charts);
}

}  // namespace

std::string RunPage(const RunRecord& run) {
  Page page(NameOf(run));
  AddVerdict(page, run);
  if (run.result.is_object()) {
    page.Html(FigureTiles(run.result));
    page.Html("<div class=\"charts\">\n");
    page.Add(ScoresChart(run.result));
    page.Html(TimeCard(run.result) + "</div>\n");
  }
  const std::vector<Chart> training = TrainingCharts(run);
  if (!training.empty()) page.Section("Training");
  page.Add(training);
  if (run.result.is_object()) {
    page.Section("Scores");
    page.Add(PageTable{.table = ScoreTable(run.result)});
  }
  AddPaths(page, run);
  AddExchanges(page, run);
  AddEvents(page, run);
  AddVersions(page, run);
  page.Html("<footer>Made by Basin from the run directory's result.json, metrics.jsonl, lmc.csv and config.yaml.</footer>\n");
  return page.Document();
}

void WriteRunPage(const std::filesystem::path& run_dir, const std::filesystem::path& file) {
  base::WriteFileAtomically(file, RunPage(ReadRun(run_dir)));
}

}  // namespace basin::report
