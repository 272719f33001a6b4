// What one member or caller may ask for: sizes, counts, rates. The coordinator's memory and work are bounded by these.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include "coordinator/types.h"

namespace basin::coordinator {

inline constexpr int kMaxMembers = 4096;
inline constexpr int kMaxMessageBytes = 1 << 20;  ///< of one request or reply
inline constexpr size_t kMaxHostBytes = 255;
inline constexpr size_t kMaxTokenBytes = 256;
inline constexpr size_t kMaxOperationBytes = 200;
inline constexpr size_t kMaxReasonBytes = 1000;
inline constexpr int64_t kMaxStep = int64_t{1} << 53;
inline constexpr int64_t kMaxEpoch = 1'000'000'000;
inline constexpr double kMaxRate = 1e9;  ///< steps a second

inline constexpr size_t kMaxMeasurements = 64;  ///< names a member
inline constexpr size_t kMaxNameBytes = 64;     ///< of a measurement

inline constexpr size_t kMaxKeyBytes = 256;
inline constexpr size_t kMaxValueBytes = 64 << 10;
inline constexpr size_t kMaxKeys = 16384;
inline constexpr size_t kMaxStoreBytes = 16 << 20;

inline constexpr size_t kMaxChunkBytes = 512 << 10;             ///< of weights in one message
inline constexpr int64_t kMaxWeightsBytes = int64_t{64} << 30;  ///< of one file
inline constexpr int kMaxWeightStreams = 64;                    ///< at once, of all members; each has a thread
inline constexpr size_t kMaxFileNameBytes = 64;                 ///< of an average
inline constexpr size_t kMaxAverages = 16;                      ///< names

inline constexpr int kMaxTasks = 65536;
inline constexpr size_t kMaxWorkBytes = 1024;            ///< of one task
inline constexpr size_t kMaxWorksBytes = 512 << 10;      ///< of all tasks: a list travels in one message
inline constexpr size_t kMaxTaskValues = 4096;           ///< of one result
inline constexpr size_t kMaxTaskResults = 8 << 20;       ///< values of all results
inline constexpr double kMaxTaskDeadline = 7 * 86400.0;  ///< seconds

/// A gap between two ticks from which on the coordinator counts as having been stopped itself.
inline constexpr Time kOwnSleep = std::chrono::seconds(2);

/// A token bucket: `burst` at once, `per_second` in the long run.
class RateLimit {
 public:
  RateLimit(double per_second, double burst) : per_second_(per_second), burst_(burst), left_(burst) {}
  /// Whether one more is allowed at `now` (which never goes back).
  bool Allow(Time now) {
    left_ = std::min(burst_, left_ + per_second_ * ToSeconds(now - last_));
    last_ = now;
    if (left_ < 1) return false;
    left_ -= 1;
    return true;
  }

 private:
  double per_second_, burst_, left_;
  Time last_{0};
};

}  // namespace basin::coordinator
