// Curves of a population over the steps of its run, for the charts of report/ alone.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "report/chart.h"
#include "report/run_record.h"

namespace basin::report {

/// Values of all members over steps; borrows the columns that are added.
struct Tracks {
  struct Track {
    int64_t member;
    const std::vector<double>*x, *y;
  };
  std::vector<Track> tracks;
  std::vector<double> all_x, all_y;

  /// Nothing for an empty column.
  void Add(int64_t member, const std::vector<double>& x, const std::vector<double>& y);
};

/// `column`: from a MemberTrack to the pair of its columns, as pointers.
template <typename Column>
Tracks TracksOf(const RunRecord& run, Column column) {
  Tracks tracks;
  for (const auto& [member, track] : run.members) {
    const auto [x, y] = column(track);
    tracks.Add(member, *x, *y);
  }
  return tracks;
}

/// How many steps must share a point of a curve over these.
int64_t StepsPerPoint(const std::vector<double>& steps);

/// A thin line a member (where they can be told apart), and their mean with a band from the least to the largest value.
std::vector<Curve> PopulationCurves(const Tracks& tracks, int64_t per_point);
/// What a reader must know of thinned curves and bands.
std::string ThinningNote(int64_t per_point, const char* of_what);
/// Whether the curves fall so far that small values would lie on a linear axis.
bool WantsLog(const std::vector<Curve>& curves);

/// An empty chart over the steps of the run, with its events as marks.
Chart OverSteps(const RunRecord& run, std::string id, std::string title);

}  // namespace basin::report
