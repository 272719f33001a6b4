// The work behind analyze: why two networks can or cannot be merged, in numbers. Each part is JSON with a CSV of the same.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "merge/plane.h"
#include "trainer/laboratory/crew.h"
#include "trainer/laboratory/mending.h"

namespace basin::trainer {

/// One file: `name`.json and `name`.csv.
struct AnalysisPart {
  std::string name;
  base::Json json;
  std::string csv;
};

/// l2 and l2_squared over trainable tensors, whole and a layer.
AnalysisPart AnalyzeDistance(const models::StateDict& a, const models::StateDict& b);

/// Singular values of every weight matrix of both, and R for each gamma, whole and a layer. Layers are shared out.
AnalysisPart AnalyzeSingular(const models::StateDict& a, const models::StateDict& b, const std::vector<double>& gammas, const TaskShare& share);

/// Activations, features, weights and variances of a, b, their midpoint and, where `mending` does something, the mended midpoint;
/// ratios to the parents; the matched correlation of a and b. Over the sample. Networks are shared out, but for a.
AnalysisPart AnalyzeCollapse(Workshop& shop, const std::vector<models::StateDict>& networks, const MendingOptions& mending, const TaskShare& share);

/// Taylor's estimate of the barrier beside the true one (B2's integrand at the same points), on the sample, with interpolated
/// batch-norm statistics.
AnalysisPart AnalyzeTaylor(Workshop& shop, const models::StateDict& a, const models::StateDict& b, int64_t samples, const TaskShare& share);

struct PlaneOptions {
  int grid = 21;       ///< points a side
  double margin = 0.25;
  bool reset = false;  ///< recompute batch-norm statistics at every point but the corners
};
/// Loss and accuracy on the test split over the plane through three networks.
AnalysisPart AnalyzePlane(Workshop& shop, const std::vector<models::StateDict>& networks, const PlaneOptions& options, const TaskShare& share);

struct AnalyzeRequest {
  std::vector<double> gammas{0, 0.3};
  MendingOptions mending{};
  PlaneOptions plane{};
};
/// All of it for two files, with the plane for three, into `folder` with pictures. Returns a summary, the same on all ranks. Singular
/// values, passes, derivatives and points of the plane are shared out over the crew; its first rank writes.
base::Json AnalyzeFiles(const RunConfig& config, const std::vector<std::filesystem::path>& files, const std::filesystem::path& folder,
                        const AnalyzeRequest& request, Crew& crew);

}  // namespace basin::trainer
