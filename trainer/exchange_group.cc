#include "trainer/exchange_group.h"

#include <array>

#include "base/error.h"
#include "comm/emulated.h"

namespace basin::trainer {

void CheckSameMeaning(comm::Communicator& comm, const RunConfig& config, Member& member, int64_t total_steps) {
  const uint64_t config_hash = std::stoull(ConfigHash(config), nullptr, 16);
  const std::array<int64_t, 4> own{static_cast<int64_t>(config_hash),
                                   static_cast<int64_t>(member.params().layout_hash()), total_steps,
                                   config.checkpoint.every_steps};
  const torch::Tensor mine = torch::tensor(at::ArrayRef<int64_t>(own), torch::kInt64).to(comm.device());
  const torch::Tensor all = comm.AllGather(mine).to(torch::kCPU);
  constexpr std::array kWhat{"configuration", "layout of the weights", "number of steps", "checkpoint.every_steps"};
  for (int rank = 0; rank < comm.size(); ++rank) {
    for (size_t k = 0; k < own.size(); ++k) {
      if (all[rank][k].item<int64_t>() != all[0][k].item<int64_t>()) {
        throw ConfigError(Text("rank ", rank, " has another ", kWhat[k], " than rank 0; give all ranks the same files"));
      }
    }
  }
}

ExchangeGroup::ExchangeGroup(const RunConfig& config, const StrategyOptions& options, const RunShape& shape, Member& member,
                             comm::Communicator& over, const base::Clock& clock)
    : comm(over),
      emulated(config.comm.emulate ? comm::MakeEmulated(over, *config.comm.emulate, clock) : nullptr),
      counting(emulated ? *emulated : over, clock),
      strategy(MakeStrategy(options, shape)) {
  MemberState state = member.state();
  strategy->Begin(state, comm);
}

void ExchangeGroup::TakeOver(ExchangeGroup& before) {
  const auto old_state = before.strategy->State(), new_state = strategy->State();
  BASIN_CHECK(old_state.size() == new_state.size(), old_state.size(), " tensors became ", new_state.size());
  for (size_t k = 0; k < new_state.size(); ++k) {
    new_state[k].second->copy_(*old_state[k].second);
    comm.Broadcast(*new_state[k].second, /*root=*/0);
  }
  counting.Restore(before.counting.ledger());
}

}  // namespace basin::trainer
