#include "report/run_charts.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "report/lookup.h"
#include "report/population_curves.h"
#include "report/result_tables.h"
#include "report/thin.h"

namespace basin::report {
namespace {

void AddLoss(std::vector<Chart>& charts, const RunRecord& run) {
  const Tracks tracks = TracksOf(run, [](const MemberTrack& t) { return std::pair{&t.steps.step, &t.steps.loss}; });
  if (tracks.all_x.empty()) return;
  const int64_t per_point = StepsPerPoint(tracks.all_x);
  Chart chart = OverSteps(run, "loss", "Training loss");
  chart.note = ThinningNote(per_point, "loss of a member and step");
  const auto broken = std::count_if(tracks.all_y.begin(), tracks.all_y.end(), [](double y) { return !std::isfinite(y); });
  if (broken > 0) chart.note += Text(" ", broken, " losses were not finite; the line is broken there.");
  chart.curves = PopulationCurves(tracks, per_point);
  chart.y = {.title = "nats", .log = WantsLog(chart.curves)};
  charts.push_back(std::move(chart));
}

Curve EndDot(const char* name, Role role, double step, double accuracy) {
  return {.name = name, .legend = name, .role = role, .style = Curve::Style::kDots, .x = {step}, .y = {accuracy}};
}

void AddAccuracy(std::vector<Chart>& charts, const RunRecord& run) {
  Tracks tracks;
  std::map<int64_t, std::pair<std::vector<double>, std::vector<double>>> with_end;  // the evaluations, then the final score
  const auto steps = NumberAt(run.result, {"steps"});
  for (const auto& [member, track] : run.members) with_end[member] = {track.evals.step, track.evals.accuracy};
  if (std::all_of(with_end.begin(), with_end.end(), [](const auto& entry) { return entry.second.first.empty(); })) return;
  for (const base::Json& member : ListAt(run.result, "member")) {
    const auto id = NumberAt(member, {"id"}), accuracy = NumberAt(member, {"test_accuracy"});
    if (!id || !accuracy || !steps) continue;
    auto& [x, y] = with_end[static_cast<int64_t>(*id)];
    x.push_back(*steps);
    y.push_back(*accuracy);
  }
  for (const auto& [member, columns] : with_end) tracks.Add(member, columns.first, columns.second);
  Chart chart = OverSteps(run, "accuracy", "Test accuracy");
  chart.y = {.unit = Unit::kPercent};
  // Points of one evaluation share a step, so that one unit a point leaves each its own.
  chart.curves = PopulationCurves(tracks, StepsPerPoint(tracks.all_x));
  if (steps) {
    if (const auto ensemble = NumberAt(run.result, {"ensemble", "test_accuracy"}))
      chart.curves.push_back(EndDot("ensemble", Role::kEnsemble, *steps, *ensemble));
    if (const auto average = NumberAt(run.result, {"average", "test_accuracy"}))
      chart.curves.push_back(EndDot("average", Role::kAverage, *steps, *average));
  }
  charts.push_back(std::move(chart));
}

void AddConsensus(std::vector<Chart>& charts, const RunRecord& run) {
  if (run.consensus_step.empty()) return;
  Chart chart = OverSteps(run, "consensus", "Consensus distance");
  chart.note =
      "Mean squared distance of the members' weights to their average, estimated at every evaluation from 1,024 random sums of each "
      "(standard error about 4 %); the dot at the end is exact.";
  chart.curves.push_back({.name = "estimate", .role = Role::kMean, .x = run.consensus_step, .y = run.consensus_squared});
  const auto exact = NumberAt(run.result, {"distance", "consensus_squared"}), steps = NumberAt(run.result, {"steps"});
  if (exact && steps)
    chart.curves.push_back({.name = "exact", .role = Role::kAverage, .style = Curve::Style::kDots, .x = {*steps}, .y = {*exact}});
  chart.y.log = WantsLog(chart.curves);
  chart.y.from_zero = !chart.y.log;
  charts.push_back(std::move(chart));
}

void AddLearningRate(std::vector<Chart>& charts, const RunRecord& run) {
  const Tracks tracks = TracksOf(run, [](const MemberTrack& t) { return std::pair{&t.steps.step, &t.steps.lr}; });
  if (tracks.all_x.empty()) return;
  Chart chart = OverSteps(run, "lr", "Learning rate");
  chart.y.from_zero = true;
  for (const auto& track : tracks.tracks) {
    const bool known = std::any_of(tracks.tracks.begin(), tracks.tracks.end(),
                                   [&](const auto& other) { return other.member < track.member && *other.y == *track.y; });
    if (known) continue;
    Thinned thinned = Thin(*track.x, *track.y, StepsPerPoint(tracks.all_x));
    chart.curves.push_back(
        {.name = Text("member ", track.member), .role = Role::kMean, .x = std::move(thinned.x), .y = std::move(thinned.mean)});
  }
  if (chart.curves.size() == 1) chart.curves[0].name = "all members";
  charts.push_back(std::move(chart));
}

/// One number a point of each path.
Chart PathChart(const RunRecord& run, const std::string& split, const std::vector<double> PathRecord::*field) {
  const bool is_loss = field == &PathRecord::loss;
  Chart chart{.id = std::string("path-") + (is_loss ? "loss-" : "accuracy-") + split,
              .title = std::string(is_loss ? "Loss" : "Accuracy") + " on the lines, " + split,
              .x = {.title = "lambda: from one member to the other"},
              .y = {.title = is_loss ? "nats" : "", .unit = is_loss ? Unit::kPlain : Unit::kPercent}};
  for (const PathRecord& path : run.paths) {
    if (path.split != split) continue;
    const bool as_is = path.renorm == "none";
    chart.curves.push_back({.name = Text(path.a, " to ", path.b, ", ", RenormText(path.renorm)),
                            .legend = RenormText(path.renorm),
                            .role = as_is ? Role::kRaw : Role::kAverage,
                            .style = as_is ? Curve::Style::kDashed : Curve::Style::kThin,
                            .x = path.lambda,
                            .y = path.*field});
  }
  return chart;
}

/// Means over the members that have a record of this step, in ascending steps.
struct ByStep {
  std::vector<double> step, bytes, cumulative;
};

ByStep MeanOverMembers(const RunRecord& run) {
  std::map<double, std::pair<double, int64_t>> sums;
  for (const auto& [member, track] : run.members) {
    for (size_t k = 0; k < track.exchanges.step.size(); ++k) {
      auto& [sum, count] = sums[track.exchanges.step[k]];
      sum += track.exchanges.bytes[k];
      ++count;
    }
  }
  ByStep by_step;
  double total = 0;
  for (const auto& [step, sum] : sums) {
    const double mean = sum.first / static_cast<double>(sum.second);
    total += mean;
    by_step.step.push_back(step);
    by_step.bytes.push_back(mean);
    by_step.cumulative.push_back(total);
  }
  return by_step;
}

Chart SentChart(const RunRecord& run, const ByStep& sent) {
  Chart chart = OverSteps(run, "sent", "Bytes sent so far");
  chart.note = "A rank's payload in all exchanges, mean over the ranks; dashed: what was predicted for the whole run before it began.";
  chart.y = {.unit = Unit::kBytes, .from_zero = true};
  Thinned thinned = Thin(sent.step, sent.cumulative, StepsPerPoint(sent.step));
  chart.curves.push_back(
      {.name = "counted", .legend = "counted", .role = Role::kExchange, .x = std::move(thinned.x), .y = std::move(thinned.high)});
  if (const auto predicted = NumberAt(run.result, {"bytes", "predicted_per_rank"})) {
    chart.curves.push_back({.name = "predicted",
                            .legend = "predicted",
                            .role = Role::kMean,
                            .style = Curve::Style::kDashed,
                            .x = {0, NumberAt(run.result, {"steps"}).value_or(sent.step.back())},
                            .y = {*predicted, *predicted}});
  }
  return chart;
}

}  // namespace

Chart ScoresChart(const base::Json& result) {
  Chart chart{.id = "scores", .title = "Test accuracy", .note = "The whisker spans the members.", .x = {.unit = Unit::kPercent}};
  const auto add = [&](const char* name, Role role, const char* object) {
    const auto accuracy = NumberAt(result, {object, "test_accuracy"});
    if (!accuracy) return;
    chart.curves.push_back({.name = name,
                            .role = role,
                            .style = Curve::Style::kDots,
                            .x = {*accuracy},
                            .y = {static_cast<double>(chart.y.names.size())},
                            .whiskers_along_x = true});
    chart.y.names.push_back(name);
  };
  add("mean member", Role::kMean, "mean_member");
  if (!chart.curves.empty()) {
    double low = INFINITY, high = -INFINITY;
    for (const base::Json& member : ListAt(result, "member")) {
      low = std::min(low, NumberAt(member, {"test_accuracy"}).value_or(INFINITY));
      high = std::max(high, NumberAt(member, {"test_accuracy"}).value_or(-INFINITY));
    }
    chart.curves[0].low = {low};
    chart.curves[0].high = {high};
  }
  add("ensemble", Role::kEnsemble, "ensemble");
  add("average", Role::kAverage, "average");
  if (ValueAt(result, {"average", "recalibrated"}) == true) add("without BN reset", Role::kRaw, "average_raw");
  add("greedy soup", Role::kSoup, "soup");
  chart.rows = static_cast<int>(chart.y.names.size());
  return chart;
}

std::vector<Chart> TrainingCharts(const RunRecord& run) {
  std::vector<Chart> charts;
  AddLoss(charts, run);
  AddAccuracy(charts, run);
  AddConsensus(charts, run);
  AddLearningRate(charts, run);
  return charts;
}

std::vector<Chart> PathCharts(const RunRecord& run) {
  std::vector<Chart> charts;
  for (const std::string split : {"test", "train"}) {
    const bool there = std::any_of(run.paths.begin(), run.paths.end(), [&](const PathRecord& path) { return path.split == split; });
    if (!there) continue;
    charts.push_back(PathChart(run, split, &PathRecord::loss));
    charts.push_back(PathChart(run, split, &PathRecord::accuracy));
  }
  return charts;
}

std::vector<Chart> ExchangeCharts(const RunRecord& run) {
  const ByStep sent = MeanOverMembers(run);
  if (sent.step.empty()) return {};
  const Tracks bytes = TracksOf(run, [](const MemberTrack& t) { return std::pair{&t.exchanges.step, &t.exchanges.bytes}; });
  const Tracks seconds = TracksOf(run, [](const MemberTrack& t) { return std::pair{&t.exchanges.step, &t.exchanges.seconds}; });
  std::vector<Chart> charts{SentChart(run, sent)};
  Chart each = OverSteps(run, "bytes", "Bytes of an exchange");
  each.note = ThinningNote(StepsPerPoint(bytes.all_x), "payload of a rank");
  each.y = {.unit = Unit::kBytes, .from_zero = true};
  each.curves = PopulationCurves(bytes, StepsPerPoint(bytes.all_x));
  charts.push_back(std::move(each));
  Chart times = OverSteps(run, "times", "Time of an exchange");
  times.note = "Waiting for peers included. " + ThinningNote(StepsPerPoint(seconds.all_x), "time of a member");
  times.curves = PopulationCurves(seconds, StepsPerPoint(seconds.all_x));
  times.y = {.unit = Unit::kSeconds, .log = WantsLog(times.curves), .from_zero = !WantsLog(times.curves)};
  charts.push_back(std::move(times));
  return charts;
}

}  // namespace basin::report
