#include "report/run_cards.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <vector>

#include "base/error.h"
#include "report/figures.h"
#include "report/lookup.h"
#include "report/progress.h"
#include "report/svg.h"

namespace basin::report {
namespace {

std::string Fixed(double value, int digits) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}
std::string BytesText(double bytes) { return FormatBytes(std::llround(bytes)); }
std::string SecondsText(double seconds) { return FormatNumber(seconds, 3) + " s"; }

void AddTile(std::string& tiles, const std::string& name, const std::string& value, const std::string& below) {
  tiles += "<div><dt>" + Escaped(name) + "</dt><dd>" + Escaped(value) + "</dd><dd>" + Escaped(below) + "</dd></div>\n";
}

struct TestBarriers {
  bool reset = false;  // with recomputed statistics
  std::map<std::pair<int64_t, int64_t>, double> of_pair;  // the lower member first; B2, at least 0
  double most = 0.1;  // below it there is no barrier to speak of, and noise must not look like one
};

TestBarriers TestBarriersOf(const base::Json& entries) {
  TestBarriers barriers;
  for (const base::Json& entry : entries) barriers.reset = barriers.reset || TextAt(entry, {"renorm"}) == "reset";
  for (const base::Json& entry : entries) {
    const auto a = NumberAt(entry, {"a"}), b = NumberAt(entry, {"b"}), barrier = NumberAt(entry, {"barrier_linear"});
    if (!a || !b || !barrier || TextAt(entry, {"split"}) != "test" || TextAt(entry, {"renorm"}) != (barriers.reset ? "reset" : "none")) continue;
    const auto low = static_cast<int64_t>(std::min(*a, *b)), high = static_cast<int64_t>(std::max(*a, *b));
    barriers.of_pair[{low, high}] = std::max(0.0, *barrier);
    barriers.most = std::max(barriers.most, *barrier);
  }
  return barriers;
}

std::string BarrierCell(const TestBarriers& barriers, int64_t a, int64_t b) {
  const auto found = barriers.of_pair.find({std::min(a, b), std::max(a, b)});
  if (found == barriers.of_pair.end()) return "<td></td>";
  const std::string strength = FormatNumber(4 + 66 * found->second / barriers.most, 3);  // per cent; letters stay readable on the strongest
  return "<td class=\"cell\" style=\"background: color-mix(in srgb, var(--bad) " + strength + "%, transparent)\">" +
         Escaped(FormatNumber(found->second, 2)) + "</td>";
}

}  // namespace

std::string FigureTiles(const base::Json& result) {
  const RunFigures figures = FiguresOf(result);
  std::string tiles;
  if (figures.average) {
    AddTile(tiles, "average on test", FormatPercent(*figures.average, 2),
            ValueAt(result, {"average", "recalibrated"}) == true ? "batch norm recomputed" : "one network");
  }
  if (figures.average && figures.ensemble) {
    const double points = 100 * (*figures.average - *figures.ensemble);
    AddTile(tiles, "average less ensemble", (points < 0 ? "\u2212" : "+") + Fixed(std::abs(points), 2), "points of accuracy");
  }
  if (figures.worst_barrier)
    AddTile(tiles, "worst barrier", Fixed(std::max(0.0, *figures.worst_barrier), 3), "nats, B2 on test, worst pair");
  if (figures.payload_per_rank) {
    const auto predicted = NumberAt(result, {"bytes", "predicted_per_rank"});
    AddTile(tiles, "sent by a rank", BytesText(*figures.payload_per_rank),
            predicted ? "predicted " + BytesText(*predicted) : "in exchanges");
  }
  if (figures.exchange && figures.train) {
    AddTile(tiles, "time in exchanges", SecondsText(*figures.exchange),
            "of " + SecondsText(*figures.train + *figures.exchange) + " in steps");
  }
  return tiles.empty() ? "" : "<dl class=\"tiles\">\n" + tiles + "</dl>\n";
}

std::string TimeCard(const base::Json& result) {
  struct Part {
    const char* name;
    const char* colour;
    double seconds;
  };
  std::vector<Part> parts{{"compute", "compute", NumberAt(result, {"seconds", "train"}).value_or(0)},
                          {"exchange", "exchange", NumberAt(result, {"seconds", "exchange"}).value_or(0)},
                          {"evaluation", "evaluate", NumberAt(result, {"seconds", "evaluate"}).value_or(0)}};
  const auto total = NumberAt(result, {"seconds", "total"});
  if (!total || *total <= 0) return "";
  double rest = *total;
  for (const Part& part : parts) rest -= part.seconds;
  parts.push_back({"start, checkpoints, waiting", "rest", std::max(0.0, rest)});
  std::string bar, rows;
  for (const Part& part : parts) {
    const std::string colour = std::string("background: var(--") + part.colour + ")", share = FormatNumber(100 * part.seconds / *total, 4);
    bar += "<i style=\"width: " + share + "%; " + colour + "\"></i>";
    rows += "<tr><td><i style=\"" + colour + "\"></i>" + part.name + "</td><td class=\"number\">" + Escaped(SecondsText(part.seconds)) +
            "</td><td class=\"number\">" + Escaped(FormatPercent(part.seconds / *total, 1)) + "</td></tr>\n";
  }
  return "<figure class=\"card\">\n<figcaption><h3>Where the time went</h3><p class=\"note\">" +
         Escaped("Means over the ranks, of " + SecondsText(*total) + ".") + "</p></figcaption>\n<div class=\"share\">" + bar +
         "</div>\n<table class=\"shares\"><tbody>\n" + rows + "</tbody></table>\n</figure>\n";
}

std::string BarrierMap(const base::Json& result) {
  std::vector<int64_t> ids;
  for (const base::Json& member : ListAt(result, "member")) ids.push_back(static_cast<int64_t>(NumberAt(member, {"id"}).value_or(-1)));
  const TestBarriers barriers = TestBarriersOf(ListAt(result, "lmc"));
  if (ids.size() < 3 || barriers.of_pair.empty()) return "";
  std::string rows = "<tr><th></th>";
  for (const int64_t id : ids) rows += Text("<th>", id, "</th>");
  rows += "</tr>\n";
  for (const int64_t a : ids) {
    rows += Text("<tr><th>", a, "</th>");
    for (const int64_t b : ids) rows += BarrierCell(barriers, a, b);
    rows += "</tr>\n";
  }
  return "<figure class=\"card\">\n<figcaption><h3>Barriers between members</h3><p class=\"note\">B2 of the test loss in nats" +
         std::string(barriers.reset ? ", statistics recomputed" : "") + "; the colour is full at " + Escaped(FormatNumber(barriers.most, 3)) +
         ".</p></figcaption>\n<div class=\"scroll\"><table class=\"heat\">\n" + rows + "</table></div>\n</figure>\n";
}

}  // namespace basin::report
