#include "report/population_curves.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "report/lookup.h"
#include "report/run_charts.h"
#include "report/thin.h"

namespace basin::report {
namespace {

std::vector<ChartMark> Marks(const RunRecord& run) {
  std::vector<ChartMark> marks;
  for (const EventRecord& event : run.events) {
    const std::string kind = TextAt(event.fields, {"event"});
    marks.push_back({static_cast<double>(event.step), kind == "lost" ? "member lost" : kind});
  }
  return marks;
}

}  // namespace

void Tracks::Add(int64_t member, const std::vector<double>& x, const std::vector<double>& y) {
  if (x.empty()) return;
  tracks.push_back({member, &x, &y});
  all_x.insert(all_x.end(), x.begin(), x.end());
  all_y.insert(all_y.end(), y.begin(), y.end());
}

int64_t StepsPerPoint(const std::vector<double>& steps) {
  const double last = steps.empty() ? 0 : *std::max_element(steps.begin(), steps.end());
  return UnitsPerPoint(static_cast<int64_t>(last) + 1, kMostPoints);
}

std::vector<Curve> PopulationCurves(const Tracks& tracks, int64_t per_point) {
  constexpr size_t kMostLines = 16;  // more cannot be told apart; the band holds them all
  std::vector<Curve> curves;
  const bool several = tracks.tracks.size() > 1;
  for (const auto& track : tracks.tracks) {
    if (!several || tracks.tracks.size() > kMostLines) break;
    Thinned thinned = Thin(*track.x, *track.y, per_point);
    curves.push_back({.name = Text("member ", track.member),
                      .legend = "members",
                      .role = Role::kMember,
                      .style = Curve::Style::kThin,
                      .x = std::move(thinned.x),
                      .y = std::move(thinned.mean)});
  }
  Thinned all = Thin(tracks.all_x, tracks.all_y, per_point);
  const bool spread = several || per_point > 1;
  Curve mean{.name = several ? "mean" : "member",
             .legend = several ? "mean of the members" : "",
             .role = Role::kMean,
             .x = std::move(all.x),
             .y = std::move(all.mean)};
  if (spread) {
    mean.low = std::move(all.low);
    mean.high = std::move(all.high);
  }
  curves.push_back(std::move(mean));
  return curves;
}

std::string ThinningNote(int64_t per_point, const char* of_what) {
  if (per_point == 1) return Text("The band spans the least and the largest ", of_what, ".");
  return Text("Each point is the mean of ", per_point, " steps; the band spans the least and the largest ", of_what, " among them.");
}

bool WantsLog(const std::vector<Curve>& curves) {
  double least = INFINITY, most = 0;
  for (const Curve& curve : curves) {
    for (const double y : curve.y) {
      if (std::isnan(y)) continue;
      least = std::min(least, y);
      most = std::max(most, y);
    }
  }
  return least > 0 && most > 30 * least;
}

Chart OverSteps(const RunRecord& run, std::string id, std::string title) {
  return {.id = std::move(id), .title = std::move(title), .x = {.title = "step", .from_zero = true}, .marks = Marks(run)};
}

}  // namespace basin::report
