// When a strategy acts: step windows and epoch cadences as integers. What it then does is in its
// own file.
#pragma once

#include <cstdint>
#include <optional>

#include "trainer/strategy.h"

namespace basin::trainer {

/// The first step t with t / total_steps >= share, for a share in [0, 1]: share 0 is step 0, share
/// 1 is total_steps.
int64_t FirstStepAt(double share, int64_t total_steps);

/// Where in its rhythm a strategy acts: at t mod every_steps = 0, or when every_steps steps have
/// been taken, at (t + 1) mod every_steps = 0.
enum class Beat { kFirst, kLast };

/// A StepWindow laid over one run; its budget in seconds is not seen here.
class StepTimes {
 public:
  StepTimes(const StepWindow& window, const RunShape& shape, Beat beat = Beat::kFirst);

  int64_t begin() const { return begin_; }  ///< first step of the window
  int64_t end() const { return end_; }      ///< one past the last
  bool Acts(int64_t step) const { return begin_ <= step && step < end_ && Count(step) > Count(step + 1); }
  /// Acting steps in all of the window, or in its steps from `from` on.
  int64_t Count(int64_t from = 0) const;

 private:
  /// Acting steps below x, were the window open at both ends; with `spread_`, x counts from the window's begin.
  int64_t Below(int64_t x) const;

  int64_t every_, begin_, end_;
  Beat beat_;
  std::optional<int64_t> spread_;  // so many, evenly
};

/// papa-all and papa-2 merge after epoch e (from 0) when e mod every_epochs = 0 and training goes
/// on after it.
bool MergesAfterEpoch(int64_t epoch, int64_t every_epochs, const RunShape& shape);
int64_t CountMerges(int64_t every_epochs, const RunShape& shape);

}  // namespace basin::trainer
