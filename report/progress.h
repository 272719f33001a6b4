// The line that says how far a run has come, and the words for bytes, time and shares that all reports use.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <iosfwd>
#include <string>
#include <vector>

#include "base/clock.h"

namespace basin::report {

/// What is known of one member; most of it is about a second old.
struct MemberProgress {
  int64_t id = 0;
  int64_t step = 0;
  std::string doing{};  ///< "step", "exchange", "lost", ...
  double steps_per_second = 0;  ///< 0: not known yet
  double silent_s = 0;          ///< since it was last heard
  bool is_waited_for = false;
};

struct ProgressState {
  int64_t step = 0, total_steps = 0;
  int64_t epoch = 0;
  double loss = 0;           ///< 0: not known yet
  int64_t bytes_sent = 0;  ///< by this rank; shown when there are several members
  int64_t members = 1;
  std::vector<MemberProgress> population{};  ///< drawn on terminals, a line each below the run's
};

struct ProgressOptions {
  bool is_terminal = false;  ///< redrawn; otherwise plain lines, seldom
  int rows = 24;             ///< of the terminal; members that do not fit are counted, those that are waited for come first
  int columns = 80;          ///< longer lines are cut, since one that wraps could not be drawn anew
  bool quiet = false;        ///< nothing at all
};

/// On a terminal one line (with a population one more for each member), drawn anew at most 5 times a second; elsewhere (a file, a pipe) a plain line at most every 5
/// s, and one at the end:
///   step 350/1000  35 %  52.3 steps/s  loss 0.412  sent 1.3 MB/rank  ETA 0:12
/// A line that would fill the columns of a terminal goes without share and speed, and is cut if that is not enough.
/// Steps a second are those of the last 10 s. One thread. The stream and the clock must outlive it.
class Progress {
 public:
  Progress(std::ostream& stream, const base::Clock& clock, ProgressOptions options);
  /// Ends an open line, so that an error message begins on its own; draws nothing.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// Cheap enough for every step.
  void Update(const ProgressState& state);
  /// Shows the last state if it has not been shown yet, and ends the line. Later updates begin a new one.
  void Finish();

 private:
  using Time = base::Clock::Duration;
  struct Sample {
    Time time;
    int64_t step;
  };
  void TakeSample(Time now, int64_t step);
  double StepsPerSecond(Time now) const;  // 0: not known yet
  std::string Line(Time now, bool brief) const;
  std::vector<std::string> MemberLines() const;
  void Show(Time now);
  void Draw(Time now);
  size_t room_a_line() const { return static_cast<size_t>(std::max(2, options_.columns) - 1); }
  void EndLine();

  std::ostream& stream_;
  const base::Clock& clock_;
  const ProgressOptions options_;
  std::deque<Sample> samples_;
  ProgressState state_;
  bool has_unshown_state_ = false;
  Time next_show_;
  size_t open_line_length_ = 0;  // 0: the cursor is at the beginning of a line
  size_t lines_below_ = 0;       // of members; the cursor is at the end of the last
};

std::string FormatBytes(int64_t num_bytes);  ///< "999 B", "1.3 MB": powers of 1000
std::string FormatDuration(double seconds);  ///< "0:12", "1:02:03", "2 d 01:02:03"; "-" if negative or not finite
std::string FormatPercent(double fraction, int decimals = 0);    ///< "35 %"
std::string FormatNumber(double value, int significant_digits);  ///< without exponent between 1e-4 and 1e6

}  // namespace basin::report
