// Linear mode connectivity of pairs of networks, shared out over the ranks.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/json.h"
#include "comm/communicator.h"
#include "merge/path.h"
#include "merge/tasks.h"
#include "trainer/evaluate.h"

namespace basin::trainer {

/// One curve: a pair of networks, a split, and how batch-norm statistics were treated inside the path.
struct PairCurve {
  int64_t a = 0, b = 0;
  std::string split;   ///< "train" | "test"
  std::string renorm;  ///< "none": as interpolated; else how every interior point was mended, e.g. "reset", "repair"
  std::vector<merge::PathPoint> points;
  merge::Barriers barriers;
};

std::vector<std::pair<int64_t, int64_t>> ChoosePairs(LmcOptions::Pairs pairs, int64_t members);

using merge::Task;
using merge::TaskShare;
/// Rank r takes tasks r, r + size, ... Collective.
TaskShare ByRank(comm::Communicator& comm);

/// What else is measured beside the interpolated network: mend() changes the network at lambda between networks a and b in place.
struct PathMending {
  std::string name;
  std::function<void(models::Classifier& model, int64_t a, int64_t b, double lambda)> mend;
};
/// "reset" on the bench's recalibration images where the model has batch norm, else nothing.
std::vector<PathMending> ResetWhereNormed(const models::Classifier& model, const Bench& bench);

/// Measures every pair at every lambda; all ranks return the same bits, however the points are shared out. Curves: for each pair, split (train, test as chosen), renorm (none, then each of `mendings`).
/// With an even number of points 1/2 is measured too, for barriers.mid alone. Ends of a path keep their own statistics. `model` is scratch space for the weights.
std::vector<PairCurve> MeasurePairs(const std::vector<models::StateDict>& networks,
                                    const std::vector<std::pair<int64_t, int64_t>>& pairs, const LmcOptions& options,
                                    const Bench& bench, models::Classifier& model, const TaskShare& share,
                                    const std::vector<PathMending>& mendings);
/// With the mendings of ResetWhereNormed.
std::vector<PairCurve> MeasurePairs(const std::vector<models::StateDict>& networks,
                                    const std::vector<std::pair<int64_t, int64_t>>& pairs, const LmcOptions& options,
                                    const Bench& bench, models::Classifier& model, const TaskShare& share);

/// `a,b,lambda,split,loss,accuracy,renorm`, a row a point.
std::string CurvesAsCsv(const std::vector<PairCurve>& curves);
/// The entries of `lmc` in result.json.
base::Json BarriersAsJson(const std::vector<PairCurve>& curves);

}  // namespace basin::trainer
