#include "trainer/strategies/papa2.h"

#include <cmath>

#include "base/error.h"
#include "base/seed.h"
#include "trainer/strategies/align.h"
#include "trainer/strategies/dense.h"
#include "trainer/strategies/renorm.h"
#include "trainer/strategies/timing.h"

namespace basin::trainer {
namespace {

/// Sends `own` [n] to every member that descends from this one and returns the mean of this
/// member's parents.
torch::Tensor MeanOfParents(const torch::Tensor& own, const std::vector<Parents>& parents,
                            comm::Communicator& comm) {
  const int64_t rank = comm.rank(), n = own.numel();
  const Parents mine = parents.at(rank);
  std::vector<int64_t> send_counts(comm.size(), 0), receive_counts(comm.size(), 0);
  int64_t children = 0, strangers = 0;
  for (int64_t other = 0; other < comm.size(); ++other) {
    if (other == rank) continue;
    const bool child = parents[other].Has(rank), parent = mine.Has(other);
    children += child;
    strangers += parent;
    send_counts[other] = child ? n : 0;
    receive_counts[other] = parent ? n : 0;
  }
  torch::Tensor received = torch::empty({strangers * n}, own.options());
  comm.AllToAllV(own.repeat({children}), send_counts, received, receive_counts);
  const torch::Tensor low = mine.low == rank ? own : received.narrow(0, 0, n);
  const torch::Tensor high = mine.high == rank ? own : received.narrow(0, (strangers - 1) * n, n);
  return (low + high)
      .mul_(0.5);  // in the order of the members: the same bits wherever it is computed
}

}  // namespace

std::vector<Parents> DrawParents(uint64_t run_seed, int64_t epoch, int members) {
  BASIN_CHECK(members >= 2, "a pair of ", members);
  std::vector<Parents> parents;
  for (int member = 0; member < members; ++member) {
    base::Stream stream({.run_seed = run_seed,
                         .purpose = base::Purpose::kPairing,
                         .a = static_cast<uint64_t>(epoch),
                         .b = static_cast<uint64_t>(member)});
    int64_t index = stream.NextBelow(static_cast<uint32_t>(members * (members - 1) / 2));
    // Row `low` of the triangle of pairs holds the pairs (low, low + 1) ... (low, members - 1).
    int64_t low = 0;
    for (int64_t row = members - 1; index >= row; index -= row, --row) ++low;
    parents.push_back({.low = low, .high = low + 1 + index});
  }
  return parents;
}

Papa2::Papa2(const Papa2Options& options, const RunShape& shape)
    : options_(options), shape_(shape) {}

void Papa2::AfterEpoch(const EpochInfo& epoch, MemberState& member,
                       comm::CountingCommunicator& comm) {
  if (!MergesAfterEpoch(epoch.epoch, options_.every_epochs, shape_)) return;
  const comm::CountingCommunicator::Exchange exchange(comm);
  if (comm.size() == 1) return;
  const std::vector<Parents> parents = DrawParents(shape_.seed, epoch.epoch, comm.size());
  AlignBefore(options_.align, member, comm);
  torch::Tensor target = ActivationsBefore(options_.renorm, member, comm);
  if (target.defined()) target = MeanOfParents(target, parents, comm);
  Pack(member, Carry::kState, packed_);
  Unpack(MeanOfParents(packed_, parents, comm), Carry::kState, member);
  MendAfter(options_.renorm, target, member);
}

std::vector<std::vector<comm::Round>> Papa2::Courses(double bytes) const {
  std::vector<std::vector<comm::Round>> courses;
  for (int64_t epoch = 0; epoch < shape_.total_epochs(); ++epoch) {
    if (!MergesAfterEpoch(epoch, options_.every_epochs, shape_)) continue;
    const std::vector<Parents> parents = DrawParents(shape_.seed, epoch, shape_.members);
    comm::Round round;
    for (int from = 0; from < shape_.members; ++from) {
      for (int step = 1; step < shape_.members; ++step) {
        const int to = (from + step) % shape_.members;
        if (parents[to].Has(from)) round.push_back({from, to, bytes});
      }
    }
    courses.push_back({round});
  }
  return courses;
}

Forecast Papa2::Predict() const {
  const int64_t merges = CountMerges(options_.every_epochs, shape_);
  if (shape_.members == 1) return {.exchanges = merges};
  // A member is among its own parents with probability 2 / N, and so is sent 1 or 2 vectors: 2 - 2
  // / N on average, with variance (2 / N)(1 - 2 / N). The mean over N independent members has 1 / N
  // of that variance.
  const double ranks = shape_.members, own = 2 / ranks, vectors = 2 - own;
  const int64_t activations = NumActivations(options_.renorm, shape_);
  const double bytes = static_cast<double>(NumCarried(shape_, Carry::kState)) * sizeof(float) +
                       static_cast<double>(activations) * sizeof(double);
  MeanTraffic merge{.bytes = vectors * bytes, .messages = vectors * (activations > 0 ? 2 : 1)};
  const double state = static_cast<double>(NumCarried(shape_, Carry::kState)) * sizeof(float);
  for (const double vector : {static_cast<double>(activations) * sizeof(double), state}) {
    if (vector > 0) merge.calls.push_back({.kind = ExpectedCall::Kind::kRounds, .courses = Courses(vector)});
  }
  merge.memory_bytes = (2 + 2 * vectors) * state;  // packed and mean; for the children, from the parents
  Forecast forecast = Repeat(AlignTraffic(options_.align, shape_) + merge, merges);
  forecast.bytes_stddev = bytes * std::sqrt(static_cast<double>(merges) * own * (1 - own) / ranks);
  return forecast;
}

}  // namespace basin::trainer
