#include "report/result_tables.h"

#include <cstdio>

#include "base/error.h"
#include "report/lookup.h"

namespace basin::report {
namespace {

std::string Cell(const char* format, std::optional<double> value, double scale = 1) {
  if (!value) return "-";
  char text[32];
  std::snprintf(text, sizeof text, format, scale * *value);
  return text;
}

std::string NatsAt(const base::Json& json, const char* key) { return Cell("%.4f", NumberAt(json, {key})); }

int64_t IdAt(const base::Json& json, const char* key) { return static_cast<int64_t>(NumberAt(json, {key}).value_or(-1)); }

void AddScore(Table& table, const std::string& what, const base::Json& score) {
  if (score.is_object()) table.AddRow({what, Cell("%.2f", NumberAt(score, {"test_accuracy"}), 100), NatsAt(score, "test_loss")});
}

}  // namespace

Table ScoreTable(const base::Json& result) {
  Table table({"test", "accuracy %", "loss"});
  for (const base::Json& member : ListAt(result, "member")) AddScore(table, Text("member ", IdAt(member, "id")), member);
  AddScore(table, "mean member", ValueAt(result, {"mean_member"}));
  AddScore(table, "ensemble (mean of logits)", ValueAt(result, {"ensemble"}));
  const bool recalibrated = ValueAt(result, {"average", "recalibrated"}) == true;
  AddScore(table, recalibrated ? "average, batch norm recomputed" : "average", ValueAt(result, {"average"}));
  if (recalibrated) AddScore(table, "average, batch norm as averaged", ValueAt(result, {"average_raw"}));
  AddScore(table, "greedy soup of " + ValueAt(result, {"soup", "chosen"}).dump(), ValueAt(result, {"soup"}));
  return table;
}

Table BarrierTable(const base::Json& entries) {
  Table table({"pair", "split", "network", "B1 max-mean", "B2 linear", "B3 midpoint"});
  for (const base::Json& entry : entries) {
    table.AddRow({Text(IdAt(entry, "a"), "-", IdAt(entry, "b")), TextAt(entry, {"split"}), RenormText(TextAt(entry, {"renorm"})),
                  NatsAt(entry, "barrier_max_mean"), NatsAt(entry, "barrier_linear"), NatsAt(entry, "barrier_mid")});
  }
  return table;
}

std::string RenormText(const std::string& renorm) {
  return renorm == "reset" ? "statistics recomputed" : renorm == "none" ? "as it is" : renorm;
}

}  // namespace basin::report
