// After the last step: what the population is worth, one by one, as an ensemble, as one average, and on the lines between.
#pragma once

#include <atomic>
#include <filesystem>
#include <optional>
#include <string>

#include "base/json.h"
#include "trainer/loop.h"

namespace basin::trainer {

struct FinishInput {
  Forecast forecast;
  LoopTimes times;
  double started = 0;  ///< context.clock at the start of the run, seconds
  std::filesystem::path run_dir;
  int64_t steps = 0;
  base::Json plan{};  ///< PlanJson: what was foretold
  std::optional<StrategyOptions> fitted{};  ///< the strategy with its budget fitted, where it has one
  base::Json lost = base::Json::array();  ///< members that were lost: {"member", "step", "reason"}; the forecast is then no more due
  const std::atomic<bool>* interrupted = nullptr;  ///< set when a signal came; may be null
};

/// Measures and writes members/, average*.safetensors, soup.safetensors, lmc.csv, trace.json if asked for and, last, result.json (all by rank 0, which
/// needs no shared file system). Collective. Returns the content of result.json on rank 0, null elsewhere.
base::Json Finish(const RankContext& context, Member& member, const comm::Ledger& ledger, const FinishInput& input);

}  // namespace basin::trainer
