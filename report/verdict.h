// In one sentence: did the average work?
#pragma once

#include <string>

#include "base/json.h"

namespace basin::report {

struct Verdict {
  enum class Kind { kGood, kEven, kBad, kNone } kind = Kind::kNone;
  std::string sentence;
  std::string grounds;  ///< the figures behind it
};

/// From the test accuracies of a result.json. Differences within two standard errors of the average's accuracy (a share of test_images,
/// as result.json tells it; 0 where it does not) count as none:
///   good  the average is as good as the ensemble or better, or better than the mean member;
///   even  as good as the mean member;   bad  worse than that;   none  a figure is missing.
Verdict VerdictOf(const base::Json& result);

}  // namespace basin::report
