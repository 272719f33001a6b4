#include "launch/results.h"

#include <cmath>
#include <cstdio>

#include "base/error.h"
#include "report/progress.h"
#include "report/result_tables.h"
#include "report/table.h"

namespace basin::launch {
namespace {

using base::Json;

std::string Percent(const Json& fraction) {
  if (!fraction.is_number()) return "-";
  char text[32];
  std::snprintf(text, sizeof text, "%.2f", 100 * fraction.get<double>());
  return text;
}

std::string Nats(const Json& loss) {
  if (!loss.is_number()) return "-";
  char text[32];
  std::snprintf(text, sizeof text, "%.4f", loss.get<double>());
  return text;
}

std::string Fixed(const Json& value, int digits) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, value.get<double>());
  return text;
}

std::string BudgetLine(const Json& result) {
  const Json budget = result.value("budget", Json());
  if (!budget.is_object()) return "";
  const double spent = budget["spent"].get<double>();
  std::string limit;
  if (budget.contains("bytes_per_rank")) limit = report::FormatBytes(std::llround(budget["bytes_per_rank"].get<double>())) + " a rank";
  if (budget.contains("seconds")) limit = report::FormatNumber(budget["seconds"].get<double>(), 4) + " s, " + Fixed(spent, 2) + " s";
  if (budget.contains("share")) limit = Percent(budget["share"]) + " % of the time, " + Percent(spent) + " %";
  return "\nbudget: " + limit + " spent, " + Percent(budget["ratio"]) + " % of it";
}

std::string BytesLine(const Json& result) {
  const Json& bytes = result["bytes"];
  const Json& seconds = result["seconds"];
  const auto whole = [](double value) { return report::FormatBytes(std::llround(value)); };
  const double payload = bytes["payload_per_rank"].get<double>();
  const Json& predicted = bytes["predicted_per_rank"];  // null where members were lost
  std::string text = "sent a rank: " + whole(payload);
  if (predicted.is_number()) text += " (predicted " + whole(predicted.get<double>()) + ")";
  text += Text(" in ", bytes["exchanges"].get<int64_t>(), " exchanges");
  const double steps = result["steps"].get<double>();
  if (steps > 0) text += ", " + whole(payload / steps) + " a step";
  const Json plan = result.value("plan", Json::object());
  const Json foretold = plan.is_object() ? plan.value("seconds", Json()) : Json();  // null where no link is known
  text += Text("\nseconds: train ", Fixed(seconds["train"], 1), ", exchange ", Fixed(seconds["exchange"], 2));
  if (foretold.is_number()) text += " (transfers predicted " + Fixed(foretold, 2) + ")";
  return text + ", evaluate " + Fixed(seconds["evaluate"], 1) + ", total " + Fixed(seconds["total"], 1) + BudgetLine(result);
}

std::string LostText(const Json& result) {
  std::string text;
  for (const Json& lost : result.value("lost", Json::array())) {
    text += Text("lost: ", lost["reason"].get<std::string>(), "; the averages are of the members that were left\n");
  }
  return text;
}

}  // namespace

std::string AnnounceText(const trainer::RunConfig& config, const std::string& backend) {
  return Text(config.population.members, " members, ", config.model.name, " on ", config.data.name, ", strategy ",
              trainer::StrategyName(config.strategy), ", ",
              config.population.init == trainer::Init::kSame ? "same" : "different", " initial weights, seed ", config.seed,
              ", backend ", backend);
}

std::string ResultText(const Json& result) {
  std::string text = report::ScoreTable(result).Render();
  if (!result["lmc"].empty()) text += '\n' + BarriersText(result["lmc"]);
  return text + '\n' + LostText(result) + BytesLine(result);
}

std::string ScoresText(const Json& report) {
  report::Table table({"model", "train %", "loss", "validation %", "loss", "test %", "loss"});
  const auto add = [&table](const std::string& name, const Json& scores) {
    std::vector<std::string> cells{name};
    for (const char* split : {"train", "validation", "test"}) {
      const Json score = scores.value(split, Json::object());
      cells.push_back(Percent(score.value("accuracy", Json(nullptr))));
      cells.push_back(Nats(score.value("loss", Json(nullptr))));
    }
    table.AddRow(cells);
  };
  for (const Json& model : report["models"]) add(model["file"].get<std::string>(), model);
  if (report.contains("ensemble")) add("ensemble (mean of logits)", report["ensemble"]);
  return table.Render();
}

std::string BarriersText(const Json& entries) {
  return "barriers of the test or training loss on the line between two members (nats)\n" + report::BarrierTable(entries).Render();
}

}  // namespace basin::launch
