// Time as a dependency: code that waits or measures takes a Clock, tests move a ManualClock by hand.
#pragma once

#include <chrono>

namespace basin::base {

class Clock {
 public:
  using Duration = std::chrono::nanoseconds;
  virtual ~Clock() = default;
  /// Monotonic time since an arbitrary origin.
  virtual Duration Now() const = 0;
  double Seconds() const { return std::chrono::duration<double>(Now()).count(); }
};

class SystemClock final : public Clock {
 public:
  Duration Now() const override { return std::chrono::steady_clock::now().time_since_epoch(); }
};

class ManualClock final : public Clock {
 public:
  Duration Now() const override { return now_; }
  void Advance(Duration step) { now_ += step; }

 private:
  Duration now_{0};
};

/// Seconds between construction and Seconds().
class Stopwatch {
 public:
  explicit Stopwatch(const Clock& clock) : clock_(clock), start_(clock.Seconds()) {}
  double Seconds() const { return clock_.Seconds() - start_; }

 private:
  const Clock& clock_;
  double start_;
};

/// Wall-clock seconds since 1970 (for records people read; never for intervals).
double UnixSeconds();

}  // namespace basin::base
