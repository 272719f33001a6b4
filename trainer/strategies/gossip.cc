#include "trainer/strategies/gossip.h"

#include <algorithm>
#include <vector>

#include "base/seed.h"
#include "trainer/strategies/dense.h"

namespace basin::trainer {

int64_t DrawPartner(uint64_t run_seed, int64_t step, int members, int rank) {
  const std::vector<int64_t> order = base::RandomPermutation(
      members,
      {.run_seed = run_seed, .purpose = base::Purpose::kPairing, .a = static_cast<uint64_t>(step)});
  const int64_t place = std::find(order.begin(), order.end(), rank) - order.begin();
  const int64_t partner = place ^ 1;  // places (0, 1), (2, 3), ...
  return partner < members ? order[partner] : -1;
}

Gossip::Gossip(const GossipOptions& options, const RunShape& shape)
    : options_(options), shape_(shape), times_(options.when, shape) {}

void Gossip::AfterStep(const StepInfo& step, MemberState& member,
                       comm::CountingCommunicator& comm) {
  if (!times_.Acts(step.step)) return;
  const comm::CountingCommunicator::Exchange exchange(comm);
  if (comm.size() == 1) return;
  const int64_t partner = DrawPartner(shape_.seed, step.step, comm.size(), comm.rank());
  Pack(member, Carry::kState, own_);
  if (!peer_.defined()) peer_ = torch::empty_like(own_);
  const int64_t n = partner < 0 ? 0 : own_.numel();
  std::vector<int64_t> counts(comm.size(), 0);
  if (partner >= 0) counts[partner] = n;
  // The left-over member calls too: every rank makes the same calls.
  torch::Tensor received = peer_.narrow(0, 0, n);
  comm.AllToAllV(own_.narrow(0, 0, n), counts, received, counts);
  if (partner < 0) return;
  // Not lerp: a half plus a half has the same bits on both sides.
  own_.mul_(1 - options_.weight).add_(peer_, options_.weight);
  Unpack(own_, Carry::kState, member);
}

Forecast Gossip::Predict() const {
  const double movers = shape_.members / 2 * 2, ranks = shape_.members;
  const double bytes = static_cast<double>(NumCarried(shape_, Carry::kState)) * sizeof(float);
  // Who meets whom changes, and of an odd number who is left over: that one waits for its partner at the next exchange.
  constexpr int kMostCourses = 64;
  std::vector<std::vector<comm::Round>> courses;
  for (int turn = 0; turn < (shape_.members % 2 == 0 ? 1 : std::min(shape_.members, kMostCourses)); ++turn) {
    comm::Round pairs;
    for (int k = 0; k + 1 < shape_.members; k += 2) {
      const int a = (k + turn) % shape_.members, b = (k + 1 + turn) % shape_.members;
      pairs.push_back({a, b, bytes});
      pairs.push_back({b, a, bytes});
    }
    courses.push_back({std::move(pairs)});
  }
  return Repeat({.bytes = bytes * movers / ranks,
                 .messages = movers / ranks,
                 .calls = {{.kind = ExpectedCall::Kind::kRounds, .courses = std::move(courses)}},
                 .memory_bytes = 2 * bytes},
                times_.Count());
}

}  // namespace basin::trainer
