// The order of things in a step and in an epoch.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>

#include "base/clock.h"
#include "comm/counting.h"
#include "trainer/control.h"
#include "trainer/evaluate.h"
#include "trainer/member.h"
#include "trainer/metrics.h"
#include "trainer/strategy.h"
#include "trainer/trace.h"

namespace basin::trainer {

/// What the reporting rank shows while training.
struct LoopStatus {
  int64_t step = 0, total_steps = 0, epoch = 0;
  double loss = 0;
  int64_t bytes_sent = 0;  ///< by this rank, in exchanges
  std::shared_ptr<const coordinator::Status> population{};  ///< as the coordinator sees it, about a second old; null: not known
};

struct LoopTimes {
  double train = 0;     ///< seconds in steps: data, forward, backward, optimiser
  double evaluate = 0;  ///< seconds in evaluations between epochs
};

/// Where a rank stands between two steps.
struct LoopState {
  int64_t step = 0;  ///< steps taken
  LoopTimes times{};
  int64_t records = 0;  ///< in metrics.jsonl, by this rank
  int64_t alone_until = 0;  ///< steps before it are taken without the strategy: after a loss, to where the others are
};

/// What one rank works with. Everything is borrowed.
struct RankContext {
  const RunConfig& config;
  const data::Dataset& dataset;
  comm::Communicator& comm;  ///< uncounted: start-up, evaluation, finish
  const base::Clock& clock;
  MetricsFile* metrics = nullptr;
  Control* control = nullptr;  ///< null: no coordinator
  Faults* faults = nullptr;    ///< null: none on purpose
  Trace* trace = nullptr;      ///< null: not asked for
  std::filesystem::path member_events{};  ///< the folder of this member's TensorBoard records; empty: none are written
  std::filesystem::path run_events{};     ///< of the population's, on the rank that writes them; empty elsewhere
  std::function<void(const LoopStatus&)> show{};  ///< empty on ranks that show nothing

  /// An operation begins, with `step` steps taken: the coordinator and the trace are told.
  void Tell(coordinator::Phase phase, int64_t step, const char* operation) const;
};

/// Called after every step, and after the end of its epoch: checkpoints and the wish to stop (see Checkpointer). May be empty.
using BetweenSteps = std::function<void(const LoopState&, MetricsWriter&)>;

/// Total optimiser steps of the run: train.steps, or train.epochs times the batches of an epoch.
int64_t TotalSteps(const RunConfig& config, const data::Dataset& dataset);
int64_t StepsPerEpoch(const RunConfig& config, const data::Dataset& dataset);
/// What the strategy may know in advance.
RunShape ShapeOf(const RunConfig& config, const data::Dataset& dataset, Member& member);

/// Trains this rank's member from `at` to the end. `at` tells at every moment where it stands, in an exception too: an exchange that
/// threw has then changed nothing where the run goes on without lost members (context.control), and the step counts as taken.
void Train(const RankContext& context, Member& member, Strategy& strategy, comm::CountingCommunicator& counting, LoopState& at,
           const BetweenSteps& between_steps = {});

}  // namespace basin::trainer
