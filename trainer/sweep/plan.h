// A sweep file becomes a list of runs: a grid over any keys, budgets, seeds and controls, each run's configuration checked.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "trainer/config/config.h"

namespace basin::trainer {

/// One setting: a point of the grid, or a control. Its runs differ in their seed alone.
struct SweepCell {
  std::string name;  ///< of a folder, unique: "wash-p0.01-lr0.1"
  bool is_control = false;
  std::vector<std::pair<std::string, std::string>> values{};  ///< key -> value (YAML in one line) of what the sweep sets
  std::string group{};  ///< the values of keys that are not the strategy's: strategies are compared within a group
};

struct SweepRun {
  size_t cell = 0;    ///< number in SweepPlan::cells
  std::string name;   ///< "wash-p0.01-lr0.1/seed-1", below the sweep's folder runs/
  RunConfig config;   ///< run.seed is the run's, run.name the cell's
};

struct SweepPlan {
  std::string name;
  std::vector<SweepCell> cells;
  std::vector<SweepRun> runs;  ///< all cells with the first seed, then all with the next: what has run can be compared early
};

/// Reads a sweep file:
///   name: ...            for titles; default: the file's name
///   base: FILE | {...}   a configuration file (relative to the sweep file) or its sections
///   set: {KEY: VALUE}    laid over the base, dotted keys
///   grid: {KEY: [...]}   every combination of these values; a key may be a section (strategy: [{name: wash, p: 0.01}, ...])
///   seeds: [1, 2, 3]     run.seed; default: the base's
///   budgets: [1MB, ...]  strategy.budget.bytes_per_rank, one more dimension of the grid
///   controls: [...]      independent (no exchange: its average is the final average only, its soup the control "soup") |
///                        one-long-run (one member alone for as many steps as all members together)
/// `overrides` (KEY=VALUE) are laid over the base too. Throws one ConfigError with all problems, as ReadRunConfig; also for values of a
/// key that the sweep sets itself, the same setting twice, more than 10,000 runs.
SweepPlan ReadSweep(const std::filesystem::path& file, const std::vector<std::string>& overrides = {});

}  // namespace basin::trainer
