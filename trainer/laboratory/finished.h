// What can be measured and made of finished model files: the work behind eval, merge and lmc.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "merge/average.h"
#include "trainer/config/config.h"
#include "trainer/laboratory/align.h"
#include "trainer/laboratory/crew.h"
#include "trainer/laboratory/mending.h"

namespace basin::trainer {

using ModelFiles = std::vector<std::filesystem::path>;

/// Scores of each file on train, validation (when there is one) and test; with `ensemble` of the mean of their logits too:
/// {"models": [{"file", "train": {"loss", "accuracy"}, ...}], "ensemble": {"test": {...}, ...}}.
base::Json EvaluateFiles(const RunConfig& config, const ModelFiles& files, bool ensemble);

enum class MergeMethod { kUniform, kGreedySoup, kMedian, kTrimmedMean };
struct MergeRequest {
  MergeMethod method = MergeMethod::kUniform;
  std::vector<double> weights{};  ///< uniform only; empty: equal
  double trim = 0.25;             ///< trimmed-mean
  MendingOptions mending{};       ///< of the result (needs data); targets are weighted as the average, equally where it has no weights
  AlignOptions align{};           ///< what is done to the networks first
};
/// Aligning is shared out over the crew; its first rank does the rest and has the report, the others get null. Writes `out` and, beside it, `out`.json: what was done, distances, and with a configuration the test scores of inputs and
/// result. Without a configuration: uniform, median, trimmed-mean, with the memory of one tensor of each file.
base::Json MergeFiles(const std::optional<RunConfig>& config, const ModelFiles& files, const std::filesystem::path& out,
                      const MergeRequest& request, Crew& crew);

/// Writes `out`, a complete model: the second file's network with its units permuted to fit the first's. Beside it `out`.json: objective,
/// sweeps and distances before and after, and the permutations. The report is the same on all ranks; the first writes.
base::Json MatchFiles(const std::optional<RunConfig>& config, const ModelFiles& files, const std::filesystem::path& out,
                      const AlignOptions& align, Crew& crew);

/// Curves and barriers of all pairs of files, as they are and mended at every interior point. Aligned: the second of each pair is made to
/// fit the first. With a folder: lmc.csv, barriers.json and pictures. Aligning and measuring are shared out over the crew; its first rank
/// writes.
base::Json ConnectFiles(const RunConfig& config, const ModelFiles& files, const MendingOptions& mending, const AlignOptions& align,
                        const std::optional<std::filesystem::path>& folder, Crew& crew);

}  // namespace basin::trainer
