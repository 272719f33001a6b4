// The draws: which coordinates, and which way each travels. What is done with them is in
// sparse_exchange.cc.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numeric>
#include <span>

#include "base/error.h"
#include "base/seed.h"
#include "comm/selection.h"
#include "comm/sparse_exchange.h"

namespace basin::comm {
namespace {

/// Room for all but one draw in 10^9 (six standard deviations above the mean), so the list of the
/// coordinates is allocated once.
size_t RoomFor(std::span<const SelectedTensor> tensors, double factor) {
  double mean = 0;
  for (const SelectedTensor& tensor : tensors) {
    mean += factor * std::clamp(tensor.rate, 0.0, 1.0) * static_cast<double>(tensor.num_elements);
  }
  return static_cast<size_t>(mean + 6 * std::sqrt(mean) + GeometricSkips::kBatch);
}

/// Each coordinate with probability `factor` times its tensor's rate.
std::vector<int64_t> Select(const DrawKey& key, std::span<const SelectedTensor> tensors,
                            double factor) {
  std::vector<int64_t> indices;
  indices.reserve(RoomFor(tensors, factor));
  VisitSelected(key, tensors, factor, [&](std::span<const int64_t> batch) {
    indices.insert(indices.end(), batch.begin(), batch.end());
  });
  return indices;
}

/// Uniform permutations pi of 0..members-1, one after another from one stream: Fisher-Yates, with
/// several bounded numbers from each random word (Brackett-Rozinsky and Lemire 2024, "Batched
/// ranged random integer generation"), without bias. No pi is written down: a rank is followed
/// through the swaps, forward to the member that gets its value, backward to the member whose value
/// it gets.
class Permutations {
 public:
  Permutations(const base::StreamId& id, int members) : stream_(id), picks_(members) {
    for (int bound = members; bound >= 2;) {
      Word word{bound, 0, 1};
      // Below 2^48 a word is refused once in 2^16 at most.
      for (; bound >= 2 && word.product < (uint64_t{1} << 48) / bound; --bound, ++word.count) {
        word.product *= bound;
      }
      words_.push_back(word);
    }
  }

  void Next() {
    for (const Word& word : words_) DrawFrom(word);
  }
  /// The n with pi(n) = rank.
  int Destination(int rank) const {
    for (int i = std::ssize(picks_) - 1; i >= 1; --i) rank = Swapped(rank, i, picks_[i]);
    return rank;
  }
  /// pi(rank).
  int Source(int rank) const {
    for (int i = 1; i < std::ssize(picks_); ++i) rank = Swapped(rank, i, picks_[i]);
    return rank;
  }

 private:
  /// Bounds first, first - 1, ..., `count` of them, drawn from one random word; and their product.
  struct Word {
    int first;
    int count;
    uint64_t product;
  };

  static int Swapped(int place, int a, int b) { return place == a ? b : place == b ? a : place; }

  void DrawFrom(const Word& word) {
    uint64_t rest;
    do {
      rest = stream_.NextU64();
      for (int i = 0; i < word.count; ++i) {
        const int bound = word.first - i;
        const unsigned __int128 wide =
            static_cast<unsigned __int128>(rest) * static_cast<unsigned>(bound);
        picks_[bound - 1] = static_cast<int>(wide >> 64);
        rest = static_cast<uint64_t>(wide);
      }
      // 2^64 mod product words too many would fall on some outcomes; such words are drawn again.
    } while (rest < word.product && rest < -word.product % word.product);
  }

  base::Stream stream_;
  std::vector<int> picks_;  ///< place i was swapped with picks_[i] <= i, the largest i first
  std::vector<Word> words_;
};

/// Sorts the coordinates by peer, keeping their order, and counts them. Those with peers[k] == self
/// stay where they are: they are sorted behind the last group and cut off, into `stay` when it is not null.
std::vector<int64_t> GroupByPeer(std::span<const int64_t> coordinates, std::span<const int> peers,
                                 int self, std::vector<int64_t>& counts, std::vector<int64_t>* stay) {
  for (int peer : peers) ++counts[peer];
  counts[self] = 0;
  std::vector<int64_t> cursor(counts.size());
  std::exclusive_scan(counts.begin(), counts.end(), cursor.begin(), int64_t{0});
  const int64_t num_travelling = cursor.back() + counts.back();
  cursor[self] = num_travelling;
  std::vector<int64_t> grouped(coordinates.size());
  for (size_t k = 0; k < coordinates.size(); ++k) grouped[cursor[peers[k]]++] = coordinates[k];
  if (stay != nullptr) stay->assign(grouped.begin() + num_travelling, grouped.end());
  grouped.resize(num_travelling);
  return grouped;
}

/// What leaves a place is replaced there.
void PlanSwaps(const DrawKey& key, std::span<const SelectedTensor> tensors, int peer,
               ShufflePlan& plan) {
  plan.send_index = Select(key, tensors, kSwapped);
  plan.receive_index = plan.send_index;
  plan.send_counts[peer] = plan.receive_counts[peer] = plan.num_moved();
}

void PlanPermutations(const DrawKey& key, std::span<const SelectedTensor> tensors, int rank,
                      ShufflePlan& plan) {
  const std::vector<int64_t> selected = DrawIndices(key, tensors);
  Permutations permutations({key.run_seed, base::Purpose::kPermute, key.exchange, 0}, plan.members);
  std::vector<int> destinations(selected.size()), sources(selected.size());
  for (size_t k = 0; k < selected.size(); ++k) {
    permutations.Next();
    destinations[k] = permutations.Destination(rank);
    sources[k] = permutations.Source(rank);
  }
  plan.send_index = GroupByPeer(selected, destinations, rank, plan.send_counts, nullptr);
  plan.receive_index = GroupByPeer(selected, sources, rank, plan.receive_counts, &plan.stay_index);
}

}  // namespace

void CheckTensors(std::span<const SelectedTensor> tensors) {
  int64_t end = 0;
  for (const SelectedTensor& tensor : tensors) {
    BASIN_CHECK(tensor.offset >= end && tensor.num_elements >= 0, "tensor at ", tensor.offset,
                " with ", tensor.num_elements,
                " elements; tensors must ascend without overlap, and the last one ended at ", end);
    BASIN_CHECK(!std::isnan(tensor.rate), "the selection rate of the tensor at ", tensor.offset,
                " is not a number");
    end = tensor.offset + tensor.num_elements;
  }
}

std::vector<int64_t> DrawIndices(const DrawKey& key, std::span<const SelectedTensor> tensors) {
  CheckTensors(tensors);
  return Select(key, tensors, 1);
}

ShufflePlan DrawShufflePlan(const DrawKey& key, std::span<const SelectedTensor> tensors,
                            int members, int rank) {
  BASIN_CHECK(members >= 1 && 0 <= rank && rank < members, "rank ", rank, " of ", members,
              " members");
  CheckTensors(tensors);
  ShufflePlan plan{.members = members};
  plan.send_counts.assign(members, 0);
  plan.receive_counts.assign(members, 0);
  if (members == 2) {
    PlanSwaps(key, tensors, 1 - rank, plan);
  } else {
    PlanPermutations(key, tensors, rank, plan);
  }
  return plan;
}

double SelectionRate(double moved, int members) {
  return members > 1 ? std::min(1.0, moved / (1 - 1.0 / members)) : 0;
}

}  // namespace basin::comm
