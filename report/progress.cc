#include "report/progress.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <ostream>

#include "base/error.h"

namespace basin::report {
namespace {

constexpr std::chrono::milliseconds kTerminalInterval{200};
constexpr std::chrono::milliseconds kPlainInterval{5000};
constexpr std::chrono::seconds kWindow{10};
constexpr std::chrono::milliseconds kSampleInterval{100};  // bounds the number of samples

std::string Printed(const char* format, int precision, double value) {
  std::array<char, 64> text{};
  const int length = std::snprintf(text.data(), text.size(), format, precision, value);
  BASIN_CHECK(length >= 0 && length < static_cast<int>(text.size()), "number too long to print");
  return {text.data(), static_cast<size_t>(length)};
}

}  // namespace

Progress::Progress(std::ostream& stream, const base::Clock& clock, ProgressOptions options)
    : stream_(stream),
      clock_(clock),
      options_(options),
      // A terminal shows the first state at once; a log need not hear of step 1.
      next_show_(clock.Now() + (options.is_terminal ? Time{0} : Time{kPlainInterval})) {}

Progress::~Progress() { EndLine(); }

void Progress::Update(const ProgressState& state) {
  if (options_.quiet) return;
  const Time now = clock_.Now();
  state_ = state;
  has_unshown_state_ = true;
  TakeSample(now, state.step);
  if (now >= next_show_) Show(now);
}

void Progress::Finish() {
  if (has_unshown_state_) Show(clock_.Now());
  EndLine();
}

void Progress::TakeSample(Time now, int64_t step) {
  if (!samples_.empty() && now - samples_.back().time < kSampleInterval) return;
  samples_.push_back({now, step});
  // The oldest stays until the next one is old enough to span the window alone.
  while (samples_.size() > 1 && now - samples_[1].time >= kWindow) samples_.pop_front();
}

double Progress::StepsPerSecond(Time now) const {
  if (samples_.empty() || now <= samples_.front().time) return 0;
  return static_cast<double>(state_.step - samples_.front().step) /
         std::chrono::duration<double>(now - samples_.front().time).count();
}

std::string Progress::Line(Time now, bool brief) const {
  const double rate = StepsPerSecond(now);
  std::string line = Text("step ", state_.step, "/", state_.total_steps);
  if (state_.total_steps > 0 && !brief) {
    // Rounded down: 100 % means done.
    line += "  " +
            FormatPercent(
                std::floor(100.0 * static_cast<double>(state_.step) / static_cast<double>(state_.total_steps)) / 100);
  }
  if (!options_.is_terminal) line += Text("  epoch ", state_.epoch);
  if (rate > 0 && !brief) line += "  " + FormatNumber(rate, 3) + " steps/s";
  if (state_.loss != 0) line += "  loss " + FormatNumber(state_.loss, 3);  // 0: none was read back yet
  if (state_.members > 1) line += "  sent " + FormatBytes(state_.bytes_sent) + "/rank";
  if (rate > 0) line += "  ETA " + FormatDuration(static_cast<double>(state_.total_steps - state_.step) / rate);
  return line;
}

std::vector<std::string> Progress::MemberLines() const {
  std::vector<MemberProgress> members = state_.population;
  // Not std::ranges: clang 14 cannot compile it with g++ 12's library.
  std::stable_partition(members.begin(), members.end(), [](const MemberProgress& one) { return one.is_waited_for; });
  const size_t room = std::max(3, options_.rows - 3);  // the line of the run, one for the rest, one for the prompt
  const size_t shown = members.size() <= room ? members.size() : room - 1;
  std::vector<std::string> lines;
  for (size_t k = 0; k < shown; ++k) {
    const MemberProgress& one = members[k];
    std::string line = Text("  member ", one.id, "  step ", one.step, "  ", one.doing);
    if (one.steps_per_second > 0) line += "  " + FormatNumber(one.steps_per_second, 3) + " steps/s";
    if (one.is_waited_for) line += "  waited for, silent " + FormatNumber(one.silent_s, 2) + " s";
    lines.push_back(line.substr(0, room_a_line()));
  }
  if (shown < members.size()) lines.push_back(Text("  and ", members.size() - shown, " members more"));
  return lines;
}

void Progress::Draw(Time now) {
  std::string line = Line(now, /*brief=*/false);
  if (line.size() > room_a_line()) line = Line(now, /*brief=*/true).substr(0, room_a_line());
  const std::vector<std::string> members = MemberLines();
  // Blanks wipe what a longer line has left; below, where the terminal must understand how to go up, it is asked to wipe.
  const size_t wipe = open_line_length_ > line.size() ? open_line_length_ - line.size() : 0;
  if (lines_below_ > 0) stream_ << "\x1b[" << lines_below_ << 'A';
  stream_ << '\r' << line << std::string(wipe, ' ');
  for (const std::string& member : members) stream_ << '\n' << member << "\x1b[K";
  if (members.size() < lines_below_) stream_ << "\x1b[J";
  stream_ << std::flush;
  open_line_length_ = line.size();
  lines_below_ = members.size();
}

void Progress::Show(Time now) {
  if (options_.is_terminal) {
    Draw(now);
  } else {
    stream_ << Line(now, /*brief=*/false) << std::endl;
  }
  has_unshown_state_ = false;
  next_show_ = now + (options_.is_terminal ? kTerminalInterval : kPlainInterval);
}

void Progress::EndLine() {
  if (open_line_length_ == 0) return;
  stream_ << std::endl;
  open_line_length_ = 0;
  lines_below_ = 0;
}

std::string FormatBytes(int64_t num_bytes) {
  constexpr std::array<const char*, 6> kUnits = {" kB", " MB", " GB", " TB", " PB", " EB"};
  if (num_bytes < 1000) return Text(num_bytes, " B");
  double value = static_cast<double>(num_bytes) / 1000;
  size_t unit = 0;
  // 999.95 would be printed as 1000.0.
  while (value >= 999.95 && unit + 1 < kUnits.size()) {
    value /= 1000;
    ++unit;
  }
  return Printed("%.*f", 1, value) + kUnits[unit];
}

std::string FormatDuration(double seconds) {
  if (!(seconds >= 0) || seconds > 1e12) return "-";
  const auto total = static_cast<long long>(std::llround(seconds));
  const long long days = total / 86400, hours = total / 3600 % 24, minutes = total / 60 % 60, rest = total % 60;
  std::array<char, 64> text{};
  if (days > 0) {
    std::snprintf(text.data(), text.size(), "%lld d %02lld:%02lld:%02lld", days, hours, minutes, rest);
  } else if (hours > 0) {
    std::snprintf(text.data(), text.size(), "%lld:%02lld:%02lld", hours, minutes, rest);
  } else {
    std::snprintf(text.data(), text.size(), "%lld:%02lld", minutes, rest);
  }
  return text.data();
}

std::string FormatPercent(double fraction, int decimals) { return Printed("%.*f", decimals, 100 * fraction) + " %"; }

std::string FormatNumber(double value, int significant_digits) {
  const double size = std::abs(value);
  if (!std::isfinite(value) || size >= 1e6 || (size > 0 && size < 1e-4))
    return Printed("%.*g", significant_digits, value);
  const int before_point = size < 1e-4 ? 1 : static_cast<int>(std::floor(std::log10(size))) + 1;
  return Printed("%.*f", std::max(0, significant_digits - before_point), value);
}

}  // namespace basin::report
