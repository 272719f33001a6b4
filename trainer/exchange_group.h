// What changes when the group of ranks does: the communicator, its ledger and the strategy over it.
#pragma once

#include <memory>

#include "base/clock.h"
#include "comm/counting.h"
#include "trainer/config/config.h"
#include "trainer/member.h"
#include "trainer/strategy.h"

namespace basin::trainer {

/// All ranks must mean the same thing by [P] and by a step. Collective; ConfigError on all ranks alike names the first that differs.
void CheckSameMeaning(comm::Communicator& comm, const RunConfig& config, Member& member, int64_t total_steps);

/// `comm` and `clock` are borrowed. `options`: config.strategy with its budget fitted.
struct ExchangeGroup {
  ExchangeGroup(const RunConfig& config, const StrategyOptions& options, const RunShape& shape, Member& member, comm::Communicator& comm,
                const base::Clock& clock);

  /// Goes on where the group before was, after a loss: what its strategy holds of the population (not of the member) is alike on all
  /// ranks, and the ledger is one for the whole run. Collective.
  void TakeOver(ExchangeGroup& before);

  comm::Communicator& comm;
  std::unique_ptr<comm::Communicator> emulated;  ///< for exchanges alone; null: they take what they take
  comm::CountingCommunicator counting;
  std::unique_ptr<Strategy> strategy;
};

}  // namespace basin::trainer
