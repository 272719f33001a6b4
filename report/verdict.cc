#include "report/verdict.h"

#include <cmath>

#include "base/error.h"
#include "report/lookup.h"
#include "report/progress.h"

namespace basin::report {
namespace {

std::string Points(double difference) { return FormatNumber(std::abs(100 * difference), 3) + " points"; }

}  // namespace

Verdict VerdictOf(const base::Json& result) {
  const auto average = NumberAt(result, {"average", "test_accuracy"}), ensemble = NumberAt(result, {"ensemble", "test_accuracy"}),
             mean = NumberAt(result, {"mean_member", "test_accuracy"});
  if (!average || !ensemble || !mean) return {Verdict::Kind::kNone, "This run has no average to judge.", ""};
  const double images = NumberAt(result, {"data", "test"}).value_or(0);
  const double margin = images > 0 ? 2 * std::sqrt(*average * (1 - *average) / images) : 0;
  const std::string grounds = Text("One network, the average, has ", FormatPercent(*average, 2), " on test; the ensemble of ",
                                   static_cast<int64_t>(NumberAt(result, {"members"}).value_or(0)), " has ", FormatPercent(*ensemble, 2),
                                   ", a member ", FormatPercent(*mean, 2), " on the mean.");
  const double over_ensemble = *average - *ensemble, over_mean = *average - *mean;
  if (over_ensemble > margin)
    return {Verdict::Kind::kGood, "The average is better than the ensemble, by " + Points(over_ensemble) + ".", grounds};
  if (over_ensemble >= -margin) return {Verdict::Kind::kGood, "The average is as good as the ensemble.", grounds};
  if (over_mean > margin) {
    return {Verdict::Kind::kGood, "The average is better than its members, and " + Points(over_ensemble) + " below their ensemble.",
            grounds};
  }
  if (over_mean >= -margin) return {Verdict::Kind::kEven, "The average is no better than a member.", grounds};
  return {Verdict::Kind::kBad, "The average does not work: " + Points(over_mean) + " below the mean member.", grounds};
}

}  // namespace basin::report
