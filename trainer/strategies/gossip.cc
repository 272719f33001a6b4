#include "trainer/strategies/gossip.h"

#include <algorithm>
#include <vector>

#include "base/seed.h"
#include "trainer/strategies/dense.h"

namespace basin::trainer {

namespace {

/// Neighbours (0, 1), (2, 3), ... meet; the last of an odd number is left over.
std::vector<int64_t> DrawOrder(uint64_t run_seed, int64_t step, int members) {
  return base::RandomPermutation(members, {.run_seed = run_seed, .purpose = base::Purpose::kPairing, .a = static_cast<uint64_t>(step)});
}

comm::Round MeetingsOf(const std::vector<int64_t>& order, double bytes) {
  comm::Round meetings;
  for (size_t k = 0; k + 1 < order.size(); k += 2) {
    const int a = static_cast<int>(order[k]), b = static_cast<int>(order[k + 1]);
    meetings.push_back({a, b, bytes});
    meetings.push_back({b, a, bytes});
  }
  return meetings;
}

}  // namespace

int64_t DrawPartner(uint64_t run_seed, int64_t step, int members, int rank) {
  const std::vector<int64_t> order = DrawOrder(run_seed, step, members);
  const int64_t place = std::find(order.begin(), order.end(), rank) - order.begin();
  const int64_t partner = place ^ 1;
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
  // The left-over member of an odd number waits for its partner at the next exchange, so the first meetings are looked at as they are drawn;
  // of an even number all are alike.
  const size_t most_courses = shape_.members % 2 == 0 ? 1 : 64;
  std::vector<std::vector<comm::Round>> courses;
  for (int64_t step = times_.begin(); step < times_.end() && courses.size() < most_courses; ++step) {
    if (times_.Acts(step)) courses.push_back({MeetingsOf(DrawOrder(shape_.seed, step, shape_.members), bytes)});
  }
  if (courses.empty()) return Repeat({}, 0);
  return Repeat({.bytes = bytes * movers / ranks,
                 .messages = movers / ranks,
                 .calls = {{.kind = ExpectedCall::Kind::kRounds, .courses = std::move(courses)}},
                 .memory_bytes = 2 * bytes},
                times_.Count());
}

}  // namespace basin::trainer
