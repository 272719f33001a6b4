// Ranks whose time passes only where a test says so: on an emulated link everything then takes exactly what the link's arithmetic says.
#pragma once

#include <algorithm>

#include "base/clock.h"
#include "comm/emulated.h"

namespace basin::test {

/// One rank's clock.
class VirtualClock final : public base::Clock {
 public:
  Duration Now() const override { return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds_)); }
  void Advance(double seconds) { seconds_ += seconds; }
  comm::WaitUntil waits() {
    return [this](double until) { seconds_ = std::max(seconds_, until); };
  }

 private:
  double seconds_ = 0;
};

}  // namespace basin::test
