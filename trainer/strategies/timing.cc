#include "trainer/strategies/timing.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace basin::trainer {

int64_t FirstStepAt(double share, int64_t total_steps) {
  // 0.07 x 100 is 7.000000000000001 in binary: without the slack, step 7 would not be in a window
  // that starts at 0.07. The slack is far above the rounding of a product (2e-16) and far below a
  // step of any real run (1e-12 x 1e9 steps).
  constexpr double kSlack = 1e-12;
  return static_cast<int64_t>(std::ceil(share * static_cast<double>(total_steps) * (1 - kSlack)));
}

StepTimes::StepTimes(const StepWindow& window, const RunShape& shape, Beat beat)
    : every_(window.every_steps),
      begin_(FirstStepAt(window.start, shape.total_steps)),
      end_(FirstStepAt(window.stop, shape.total_steps)),
      beat_(beat),
      spread_(window.exchanges) {
  BASIN_CHECK(every_ >= 1, "every_steps is ", every_);
  BASIN_CHECK(!spread_ || (0 <= *spread_ && *spread_ <= end_ - begin_), *spread_, " exchanges in steps ", begin_, " to ", end_);
}

int64_t StepTimes::Below(int64_t x) const {
  const bool last = beat_ == Beat::kLast;
  if (!spread_) return last ? x / every_ : (x + every_ - 1) / every_;
  // As Bresenham draws a line: the k-th of K is at floor(k W / K), or ends the (k + 1)-th of K parts of the window. A run has at most
  // 10^9 steps, so no product overflows.
  const int64_t width = end_ - begin_, product = (x - begin_) * *spread_;
  return last ? product / width : (product + width - 1) / width;
}

int64_t StepTimes::Count(int64_t from) const {
  const int64_t begin = std::max(begin_, from);
  return begin < end_ ? Below(end_) - Below(begin) : 0;
}

bool MergesAfterEpoch(int64_t epoch, int64_t every_epochs, const RunShape& shape) {
  return epoch % every_epochs == 0 && (epoch + 1) * shape.steps_per_epoch < shape.total_steps;
}

int64_t CountMerges(int64_t every_epochs, const RunShape& shape) {
  int64_t merges = 0;
  for (int64_t epoch = 0; epoch < shape.total_epochs(); epoch += every_epochs) {
    merges += MergesAfterEpoch(epoch, every_epochs, shape) ? 1 : 0;
  }
  return merges;
}

}  // namespace basin::trainer
