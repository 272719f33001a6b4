// The draws. Statistical tests have fixed seeds; five standard deviations are a probability of
// 6e-7.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>

#include "base/error.h"
#include "base/seed.h"
#include "comm/sparse_exchange.h"
#include "tests/support/statistics.h"

namespace basin::comm {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

/// Every coordinate decided with libm's logarithms, in the words of the contract.
std::vector<int64_t> DrawByTheBook(const DrawKey& key, std::span<const SelectedTensor> tensors) {
  std::vector<int64_t> indices;
  for (size_t t = 0; t < tensors.size(); ++t) {
    base::Stream stream({key.run_seed, base::Purpose::kSelect, key.exchange, t});
    for (double next = 0;; ++next) {
      next += std::floor(std::log(stream.NextDoubleOpen0()) / std::log1p(-tensors[t].rate));
      if (next >= static_cast<double>(tensors[t].num_elements)) break;
      indices.push_back(tensors[t].offset + static_cast<int64_t>(next));
    }
  }
  return indices;
}

TEST(DrawIndices, FollowsTheFormulaOfTheContract) {
  const std::vector<SelectedTensor> tensors = {{0, 1000, 0.3},    {1000, 1, 0.5},
                                               {1001, 64, 0.002}, {2000, 1000000, 0.01},
                                               {1002000, 0, 0.5}, {1002000, 500, 0.97}};
  for (uint64_t exchange = 0; exchange < 20; ++exchange) {
    const DrawKey key{7, exchange};
    EXPECT_EQ(DrawIndices(key, tensors), DrawByTheBook(key, tensors)) << "exchange " << exchange;
  }
}

TEST(DrawIndices, TakesAllAtRateOneAndNoneAtRateZero) {
  const std::vector<SelectedTensor> tensors = {
      {0, 3, 0}, {3, 4, 1}, {7, 5, 0}, {20, 2, 1.5}, {22, 9, -1}};
  EXPECT_THAT(DrawIndices({1, 2}, tensors), ElementsAre(3, 4, 5, 6, 20, 21));
}

TEST(DrawIndices, AllowsTensorsOfNoneAndOfOneElement) {
  EXPECT_THAT(DrawIndices({1, 2}, {}), IsEmpty());
  const std::vector<SelectedTensor> tensors = {{0, 0, 1}, {0, 0, 0.5}, {0, 1, 1}, {1, 1, 0.5}};
  int64_t num_last = 0;
  for (uint64_t exchange = 0; exchange < 10000; ++exchange) {
    const std::vector<int64_t> indices = DrawIndices({1, exchange}, tensors);
    ASSERT_EQ(indices.at(0), 0);
    num_last += indices.size() == 2 && indices[1] == 1;
  }
  EXPECT_NEAR(num_last, 5000, 5 * test::BinomialSpread(10000, 0.5));
}

TEST(DrawIndices, SelectsEachTensorAtItsOwnRate) {
  const std::vector<SelectedTensor> tensors = {{0, 3000000, 0.001},
                                               {3000000, 400000, 0.01},
                                               {3400000, 100000, 0.05},
                                               {3500000, 50000, 0.5},
                                               {3550000, 50000, 0.95}};
  const std::vector<int64_t> indices = DrawIndices({11, 5}, tensors);
  EXPECT_TRUE(std::is_sorted(indices.begin(), indices.end()));
  EXPECT_EQ(std::adjacent_find(indices.begin(), indices.end()), indices.end());
  for (const auto& [offset, n, rate] : tensors) {
    const auto begin = std::lower_bound(indices.begin(), indices.end(), offset);
    const auto end = std::lower_bound(indices.begin(), indices.end(), offset + n);
    EXPECT_NEAR(end - begin, n * rate, 5 * test::BinomialSpread(n, rate)) << "rate " << rate;
  }
}

TEST(DrawIndices, SelectsEveryCoordinateEquallyOften) {
  const int n = 101, num_exchanges = 20000;
  const double rate = 0.3;
  std::vector<double> counts(n), pairs(n - 1);
  for (uint64_t exchange = 0; exchange < num_exchanges; ++exchange) {
    const std::vector<int64_t> indices =
        DrawIndices({3, exchange}, std::vector<SelectedTensor>{{0, n, rate}});
    for (size_t k = 0; k < indices.size(); ++k) {
      ++counts[indices[k]];
      if (k > 0 && indices[k] == indices[k - 1] + 1) ++pairs[indices[k - 1]];
    }
  }
  double statistic = 0;
  for (double count : counts) {
    statistic +=
        std::pow((count - num_exchanges * rate) / test::BinomialSpread(num_exchanges, rate), 2);
  }
  EXPECT_LT(statistic, test::ChiSquareLimit(n));
  // Neighbours are selected together as often as independence says.
  for (double pair : pairs) {
    EXPECT_NEAR(pair, num_exchanges * rate * rate,
                6 * test::BinomialSpread(num_exchanges, rate * rate));
  }
}

TEST(DrawIndices, ReachesBeyondThirtyTwoBitsAndNeverOverflows) {
  const int64_t n = int64_t{1} << 45;
  const double rate = 1e-10;
  const std::vector<int64_t> indices =
      DrawIndices({3, 1}, std::vector<SelectedTensor>{{5, n, rate}});
  EXPECT_NEAR(static_cast<double>(indices.size()), n * rate, 5 * std::sqrt(n * rate));
  EXPECT_GE(indices.front(), 5);
  EXPECT_LT(indices.back(), 5 + n);
  double mean = 0;
  for (int64_t index : indices) mean += static_cast<double>(index) / n / indices.size();
  EXPECT_NEAR(mean, 0.5, 5 * std::sqrt(1.0 / 12 / indices.size()));
  for (double tiny : {1e-30, 1e-300, 5e-324}) {
    EXPECT_THAT(DrawIndices({3, 1}, std::vector<SelectedTensor>{{0, n, tiny}}), IsEmpty()) << tiny;
  }
}

TEST(DrawIndices, LeavesOutOneInAMillionWhenTheRateIsNearOne) {
  const std::vector<SelectedTensor> tensors = {{0, 4000000, 1 - 1e-6}};
  const int64_t num_left_out = 4000000 - std::ssize(DrawIndices({3, 1}, tensors));
  EXPECT_NEAR(num_left_out, 4, 5 * std::sqrt(4));
  EXPECT_EQ(std::ssize(DrawIndices({3, 1}, std::vector<SelectedTensor>{{0, 100000, 1 - 0x1p-53}})),
            100000);
}

int64_t Overlap(const std::vector<int64_t>& a, const std::vector<int64_t>& b) {
  std::vector<int64_t> both;
  std::set_intersection(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(both));
  return std::ssize(both);
}

TEST(DrawIndices, IsIndependentFromExchangeToExchangeSeedToSeedAndTensorToTensor) {
  const int64_t n = 1000000;
  const double rate = 0.05;
  const double expected = n * rate * rate, tolerance = 5 * test::BinomialSpread(n, rate * rate);
  const std::vector<SelectedTensor> one = {{0, n, rate}};
  const std::vector<int64_t> first = DrawIndices({1, 0}, one);
  EXPECT_NEAR(Overlap(first, DrawIndices({1, 1}, one)), expected, tolerance);
  EXPECT_NEAR(Overlap(first, DrawIndices({2, 0}, one)), expected, tolerance);
  EXPECT_EQ(first, DrawIndices({1, 0}, one));
  const std::vector<SelectedTensor> two = {{0, n, rate}, {n, n, rate}};
  std::vector<int64_t> second = DrawIndices({1, 0}, two);
  second.erase(second.begin(), std::lower_bound(second.begin(), second.end(), n));
  for (int64_t& index : second) index -= n;
  EXPECT_NEAR(Overlap(first, second), expected, tolerance);
}

TEST(DrawIndices, RefusesTensorsOutOfOrderAndRatesThatAreNoNumber) {
  EXPECT_THROW(DrawIndices({}, std::vector<SelectedTensor>{{0, 5, 0.1}, {4, 5, 0.1}}), CheckFailed);
  EXPECT_THROW(DrawIndices({}, std::vector<SelectedTensor>{{0, -1, 0.1}}), CheckFailed);
  EXPECT_THROW(DrawIndices({}, std::vector<SelectedTensor>{{0, 5, std::nan("")}}), CheckFailed);
}

TEST(SelectionRate, LeavesRoomForTheFixedPoints) {
  EXPECT_DOUBLE_EQ(SelectionRate(0.001, 2), 0.002);
  EXPECT_DOUBLE_EQ(SelectionRate(0.04, 5), 0.05);
  EXPECT_EQ(SelectionRate(0, 3), 0);
  EXPECT_EQ(SelectionRate(0.9, 3), 1);
  EXPECT_EQ(SelectionRate(0.5, 1), 0);
}

/// All ranks' plans of one exchange, and from their receiving sides the permutation of every coordinate of the tensors.
struct Group {
  Group(const DrawKey& key, std::span<const SelectedTensor> tensors, int members) {
    std::vector<int> identity(members);
    std::iota(identity.begin(), identity.end(), 0);
    for (const SelectedTensor& tensor : tensors) {
      for (int64_t k = 0; k < tensor.num_elements; ++k) permutations[tensor.offset + k] = identity;
    }
    for (int rank = 0; rank < members; ++rank)
      plans.push_back(DrawShufflePlan(key, tensors, members, rank));
    for (int rank = 0; rank < members; ++rank) {
      auto at = plans[rank].receive_index.begin();
      for (int source = 0; source < members; ++source) {
        for (int64_t k = 0; k < plans[rank].receive_counts[source]; ++k)
          permutations.at(*at++)[rank] = source;
      }
    }
  }
  std::vector<ShufflePlan> plans;
  std::map<int64_t, std::vector<int>> permutations;
};

std::vector<int64_t> Part(const std::vector<int64_t>& index, const std::vector<int64_t>& counts,
                          int peer) {
  int64_t begin = 0;
  for (int p = 0; p < peer; ++p) begin += counts[p];
  return {index.begin() + begin, index.begin() + begin + counts[peer]};
}

class ShufflePlans : public testing::TestWithParam<int> {};

TEST_P(ShufflePlans, FitTogether) {
  const int members = GetParam();
  const std::vector<SelectedTensor> tensors = {{0, 5000, 0.2}, {5000, 3000, 1}, {9000, 1, 1}};
  const Group group({1, 2}, tensors, members);
  for (int from = 0; from < members; ++from) {
    EXPECT_EQ(group.plans[from].send_counts[from], 0);
    EXPECT_EQ(group.plans[from].receive_counts[from], 0);
    for (int to = 0; to < members; ++to) {
      const ShufflePlan &sender = group.plans[from], &receiver = group.plans[to];
      const std::vector<int64_t> sent = Part(sender.send_index, sender.send_counts, to);
      EXPECT_EQ(sent, Part(receiver.receive_index, receiver.receive_counts, from))
          << from << " to " << to;
      EXPECT_TRUE(std::is_sorted(sent.begin(), sent.end()));
    }
    std::set<int64_t> leave(group.plans[from].send_index.begin(),
                            group.plans[from].send_index.end());
    std::set<int64_t> arrive(group.plans[from].receive_index.begin(),
                             group.plans[from].receive_index.end());
    EXPECT_EQ(leave, arrive);  // what leaves a place is replaced there
    EXPECT_EQ(std::ssize(leave), group.plans[from].num_moved());
  }
  for (const auto& [index, pi] : group.permutations) {
    EXPECT_EQ(std::set<int>(pi.begin(), pi.end()).size(), pi.size()) << "coordinate " << index;
  }
}

/// Lexicographic rank of a permutation.
size_t Number(const std::vector<int>& pi) {
  size_t number = 0;
  for (size_t i = 0; i < pi.size(); ++i) {
    size_t smaller = 0;
    for (size_t j = i + 1; j < pi.size(); ++j) smaller += pi[j] < pi[i];
    number = number * (pi.size() - i) + smaller;
  }
  return number;
}

size_t NumPermutations(int members) {
  size_t product = 1;
  for (int n = 2; n <= members; ++n) product *= n;
  return product;
}

TEST_P(ShufflePlans, DrawAllPermutationsEquallyOftenAndIndependently) {
  const int members = GetParam();
  if (members == 1) return;
  const Group group({4, 5}, std::vector<SelectedTensor>{{0, 60000, 1}}, members);
  const size_t num_permutations = NumPermutations(members);
  std::vector<double> counts(num_permutations),
      pairs(num_permutations <= 24 ? num_permutations * num_permutations : 0);
  size_t previous = 0;
  for (const auto& [index, pi] : group.permutations) {
    const size_t number = Number(pi);
    ++counts[number];
    if (index % 2 == 1 && !pairs.empty()) ++pairs[previous * num_permutations + number];
    previous = number;
  }
  EXPECT_LT(test::ChiSquareUniform(counts), test::ChiSquareLimit(num_permutations - 1));
  if (pairs.empty()) return;
  EXPECT_LT(test::ChiSquareUniform(pairs),
            test::ChiSquareLimit(static_cast<double>(pairs.size()) - 1));
}

TEST_P(ShufflePlans, PermuteACoordinateAnewInEveryExchange) {
  const int members = GetParam();
  if (members == 1 || members > 4) return;  // 5: 120 x 120 pairs are too many to count
  const std::vector<SelectedTensor> all = {{0, 60000, 1}};
  const Group first({4, 5}, all, members), next({4, 6}, all, members);
  const size_t num_permutations = NumPermutations(members);
  std::vector<double> pairs(num_permutations * num_permutations);
  for (const auto& [index, pi] : first.permutations) {
    ++pairs[Number(pi) * num_permutations + Number(next.permutations.at(index))];
  }
  EXPECT_LT(test::ChiSquareUniform(pairs),
            test::ChiSquareLimit(static_cast<double>(pairs.size()) - 1));
}

TEST_P(ShufflePlans, MoveTheShareThatIsAskedFor) {
  const int members = GetParam();
  const int64_t n = 1000000;
  for (double moved : {0.001, 0.01, 0.05}) {
    const std::vector<SelectedTensor> tensors = {{0, n, SelectionRate(moved, members)}};
    const ShufflePlan plan = DrawShufflePlan({1, 2}, tensors, members, members - 1);
    const double share = members == 1 ? 0 : moved;
    EXPECT_NEAR(plan.num_moved(), n * share, 5 * test::BinomialSpread(n, share)) << moved;
    EXPECT_EQ(std::ssize(plan.receive_index), plan.num_moved());
  }
}

TEST_P(ShufflePlans, AreAPureFunctionOfTheKey) {
  const std::vector<SelectedTensor> tensors = {{0, 10000, 0.1}};
  const ShufflePlan plan = DrawShufflePlan({1, 2}, tensors, GetParam(), 0);
  const ShufflePlan again = DrawShufflePlan({1, 2}, tensors, GetParam(), 0);
  EXPECT_EQ(plan.send_index, again.send_index);
  EXPECT_EQ(plan.receive_index, again.receive_index);
  if (GetParam() == 1) return;
  EXPECT_NE(plan.send_index, DrawShufflePlan({1, 3}, tensors, GetParam(), 0).send_index);
  EXPECT_NE(plan.send_index, DrawShufflePlan({2, 2}, tensors, GetParam(), 0).send_index);
}

INSTANTIATE_TEST_SUITE_P(Members, ShufflePlans, testing::Values(1, 2, 3, 4, 5));

// 24! needs several random words for each permutation.
TEST(ShufflePlan, IsUniformForManyMembersToo) {
  const int members = 24, num_draws = 40000;
  const Group group({4, 6}, std::vector<SelectedTensor>{{0, num_draws, 1}}, members);
  std::vector<std::vector<double>> counts(members, std::vector<double>(members));
  for (const auto& [index, pi] : group.permutations) {
    for (int n = 0; n < members; ++n) ++counts[n][pi[n]];
  }
  for (const auto& of_member : counts) {
    EXPECT_LT(test::ChiSquareUniform(of_member), test::ChiSquareLimit(members - 1));
  }
}

TEST(ShufflePlan, RefusesARankOutsideTheGroup) {
  EXPECT_THROW(DrawShufflePlan({}, {}, 2, 2), CheckFailed);
  EXPECT_THROW(DrawShufflePlan({}, {}, 2, -1), CheckFailed);
  EXPECT_THROW(DrawShufflePlan({}, {}, 0, 0), CheckFailed);
}

}  // namespace
}  // namespace basin::comm
