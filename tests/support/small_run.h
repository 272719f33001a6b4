// A small real population for tests of checkpoints: everything of a run but the finish.
#pragma once

#include <atomic>
#include <filesystem>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "base/json.h"
#include "comm/in_process.h"
#include "trainer/checkpoint/checkpoint.h"
#include "trainer/checkpoint/resume.h"
#include "trainer/loop.h"

namespace basin::test {

/// What a run of threads ended with, by member.
struct SmallOutcome {
  std::map<int, uint64_t> weights;  ///< hashes
  std::map<int, comm::Ledger> ledgers;
  std::map<int, int64_t> steps;     ///< that this part of the run has taken
};

class SmallRun {
 public:
  /// Two members of a narrow convnet with batch norm on 64 generated pictures, batches of 16, 12 steps; `set` as --set.
  SmallRun(std::filesystem::path dir, const std::vector<std::string>& set = {});

  /// Trains to the end from `point`, or from the start. `watch` is called by every rank after each step and before its checkpoint.
  SmallOutcome Train(const std::optional<trainer::ResumePoint>& point = {},
                     const std::function<void(int rank, int64_t steps)>& watch = {});
  /// As `basin train --resume` would, seen by one process.
  std::optional<trainer::ResumePoint> Find() const;
  /// The records of a member in their order, without times.
  std::vector<base::Json> Records(int member) const;

  trainer::RunConfig config;
  std::shared_ptr<const data::Dataset> dataset;
  std::filesystem::path dir;
  std::atomic<bool> interrupted{false};
};

}  // namespace basin::test
