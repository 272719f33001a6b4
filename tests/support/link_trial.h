// Strategies on an emulated link in virtual time: what their exchanges take there, to the nanosecond, without waiting for it.
#pragma once

#include <functional>
#include <vector>

#include "comm/counting.h"
#include "comm/link.h"
#include "trainer/strategy.h"

namespace basin::test {

struct LinkTrial {
  std::vector<comm::Ledger> ledgers;
  std::vector<double> train_seconds;  ///< of each rank, in steps
  double mean_exchange_seconds() const;
  double mean_train_seconds() const;
};

/// Begin, then all steps and complete epochs of the run, one thread a member, on random members. Steps take what `step_seconds` says
/// (none: no time), exchanges what the link takes.
LinkTrial RunOnLink(const trainer::StrategyOptions& options, const trainer::RunShape& shape, const comm::Link& link,
                    const std::function<double(int rank, int64_t step)>& step_seconds = {});

}  // namespace basin::test
