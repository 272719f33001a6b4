// Moving the values, on in-process groups of every size from 1 to 5. The draws have their own test.
#include "comm/sparse_exchange.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <map>

#include "base/error.h"
#include "comm/in_process.h"
#include "tests/support/random_bits.h"

namespace basin::comm {
namespace {

using test::RandomBits;
using test::RandomNormal;
using test::SameBits;

constexpr DrawKey kKey{21, 4};

/// A layout with gaps, empty and single-element tensors, and every kind of rate; values outside it
/// belong to nobody.
constexpr int64_t kNumValues = 6000;
const std::vector<SelectedTensor> kTensors = {{0, 3, 1},     {3, 0, 0.5},      {3, 1, 1},
                                              {4, 1, 0},     {10, 4000, 0.03}, {4010, 1000, 0.5},
                                              {5100, 700, 1}};

struct Moved {
  std::vector<std::vector<torch::Tensor>> flats;  ///< [member][flat]
  std::vector<Traffic> traffic;
  std::vector<ShufflePlan> plans;
};

/// One shuffle of copies of before[member][flat] by a group of threads.
Moved ShuffleAll(const std::vector<std::vector<torch::Tensor>>& before, const DrawKey& key = kKey) {
  const int members = static_cast<int>(before.size());
  Moved after{before, std::vector<Traffic>(members), std::vector<ShufflePlan>(members)};
  RunInProcess(members, [&](Communicator& comm) {
    const int rank = comm.rank();
    for (torch::Tensor& flat : after.flats[rank]) flat = flat.clone();
    after.plans[rank] = DrawShufflePlan(key, kTensors, members, rank);
    SparseExchange().Shuffle(after.plans[rank], after.flats[rank], comm);
    after.traffic[rank] = comm.traffic();
  });
  return after;
}

torch::Tensor Bits(const torch::Tensor& flat) { return flat.view(torch::kInt32); }

/// [members, P] of one flat.
torch::Tensor Stack(const std::vector<std::vector<torch::Tensor>>& flats, size_t flat = 0) {
  std::vector<torch::Tensor> rows;
  for (const auto& member : flats) rows.push_back(member[flat]);
  return torch::stack(rows);
}

torch::Tensor SortedOverMembers(const torch::Tensor& stacked) {
  return std::get<0>(stacked.sort(0));
}

class Shuffle : public testing::TestWithParam<int> {
 protected:
  /// before[member][flat]
  template <typename MakeFlat>
  std::vector<std::vector<torch::Tensor>> Make(int num_flats, MakeFlat&& make) const {
    std::vector<std::vector<torch::Tensor>> before(GetParam());
    for (int n = 0; n < GetParam(); ++n) {
      for (int f = 0; f < num_flats; ++f) before[n].push_back(make(kNumValues, 100 + f, n));
    }
    return before;
  }
};

TEST_P(Shuffle, LosesAndInventsNoBit) {
  const auto before = Make(1, RandomBits);
  const Moved after = ShuffleAll(before);
  const torch::Tensor old_bits = Stack(before).view(torch::kInt32),
                      new_bits = Stack(after.flats).view(torch::kInt32);
  EXPECT_TRUE(torch::equal(SortedOverMembers(old_bits), SortedOverMembers(new_bits)));
  EXPECT_EQ(torch::equal(old_bits, new_bits), GetParam() == 1);
}

TEST_P(Shuffle, KeepsTheMeanAndTheConsensusDistance) {
  const auto before = Make(1, RandomNormal);
  const Moved after = ShuffleAll(before);
  // Summed in sorted order both sides add the same numbers in the same order, so equality is exact.
  const torch::Tensor old_sorted = SortedOverMembers(Stack(before)),
                      new_sorted = SortedOverMembers(Stack(after.flats));
  const torch::Tensor old_mean = old_sorted.mean(0), new_mean = new_sorted.mean(0);
  EXPECT_TRUE(torch::equal(old_mean, new_mean));
  const auto consensus = [](const torch::Tensor& sorted, const torch::Tensor& mean) {
    return (sorted - mean).to(torch::kFloat64).square().sum().item<double>() / sorted.size(0);
  };
  EXPECT_EQ(consensus(old_sorted, old_mean), consensus(new_sorted, new_mean));
  // In whatever order: the mean moves by rounding only, half an ulp for each of N additions of
  // numbers below 6.
  EXPECT_LE((Stack(before).mean(0) - Stack(after.flats).mean(0)).abs().max().item<float>(),
            6e-7f * GetParam());
}

TEST_P(Shuffle, GivesMemberNTheValueOfMemberPiOfN) {
  const auto before = Make(1, RandomBits);
  const Moved after = ShuffleAll(before);
  for (int n = 0; n < GetParam(); ++n) {
    torch::Tensor expected = before[n][0].clone();
    auto at = after.plans[n].receive_index.begin();
    for (int source = 0; source < GetParam(); ++source) {
      for (int64_t k = 0; k < after.plans[n].receive_counts[source]; ++k, ++at) {
        Bits(expected)[*at] = Bits(before[source][0])[*at];
      }
    }
    EXPECT_TRUE(SameBits(after.flats[n][0], expected)) << "member " << n;
  }
}

TEST_P(Shuffle, LeavesCoordinatesAloneThatNoPlanNames) {
  const auto before = Make(1, RandomBits);
  const Moved after = ShuffleAll(before);
  torch::Tensor unselected = torch::ones({kNumValues}, torch::kBool);
  for (const ShufflePlan& plan : after.plans) {
    for (int64_t index : plan.send_index) unselected[index] = false;
  }
  EXPECT_GT(unselected.sum().item<int64_t>(),
            4000);  // the sparse tensor, half of the next and the gaps
  for (int n = 0; n < GetParam(); ++n) {
    EXPECT_TRUE(torch::equal(Bits(after.flats[n][0]).masked_select(unselected),
                             Bits(before[n][0]).masked_select(unselected)));
  }
}

TEST_P(Shuffle, MovesTheMomentsWithTheirWeights) {
  // Each value says where it came from: flat f of member n holds n x 10 + f everywhere.
  const auto before = Make(3, [](int64_t n, uint64_t seed, uint64_t member) {
    return torch::full({n}, static_cast<float>(member * 10 + (seed - 100)));
  });
  const Moved after = ShuffleAll(before);
  for (const auto& flats : after.flats) {
    EXPECT_TRUE(torch::equal(flats[1], flats[0] + 1));
    EXPECT_TRUE(torch::equal(flats[2], flats[0] + 2));
  }
}

TEST_P(Shuffle, SendsPayloadOnlyInOneMessageAPeer) {
  for (int num_flats : {1, 2, 3}) {
    const Moved after = ShuffleAll(Make(num_flats, RandomBits));
    for (int n = 0; n < GetParam(); ++n) {
      EXPECT_EQ(after.traffic[n].bytes, 4 * num_flats * after.plans[n].num_moved());
      EXPECT_EQ(after.traffic[n].messages, GetParam() - 1);  // all counts are positive in this draw
    }
  }
}

TEST_P(Shuffle, IsUndoneByTheInversePlan) {
  const auto before = Make(2, RandomBits);
  Moved after = ShuffleAll(before);
  RunInProcess(GetParam(), [&](Communicator& comm) {
    ShufflePlan plan = after.plans[comm.rank()];
    std::swap(plan.send_index, plan.receive_index);
    std::swap(plan.send_counts, plan.receive_counts);
    SparseExchange().Shuffle(plan, after.flats[comm.rank()], comm);
  });
  for (int n = 0; n < GetParam(); ++n) {
    for (int f : {0, 1}) EXPECT_TRUE(SameBits(after.flats[n][f], before[n][f]));
  }
}

TEST_P(Shuffle, CanBeRepeatedWithOneExchangeWhateverTheSizes) {
  const auto before = Make(1, RandomBits);
  auto reused = before, fresh = before;
  RunInProcess(GetParam(), [&](Communicator& comm) {
    const int rank = comm.rank();
    reused[rank][0] = before[rank][0].clone();
    fresh[rank][0] = before[rank][0].clone();
    SparseExchange exchange;
    for (double rate : {0.01, 0.9, 0.0, 0.2, 1.0}) {
      const std::vector<SelectedTensor> tensors = {{0, kNumValues, rate}};
      const DrawKey key{5, static_cast<uint64_t>(rate * 100)};
      const ShufflePlan plan = DrawShufflePlan(key, tensors, comm.size(), rank);
      exchange.Shuffle(plan, reused[rank], comm);
      SparseExchange().Shuffle(plan, fresh[rank], comm);
    }
  });
  EXPECT_TRUE(SameBits(Stack(reused), Stack(fresh)));
  EXPECT_TRUE(
      torch::equal(SortedOverMembers(Bits(Stack(reused))), SortedOverMembers(Bits(Stack(before)))));
}

TEST_P(Shuffle, GivesTheSameBitsWhenItDrawsThePlanItself) {
  const auto before = Make(2, RandomBits);
  auto drawn = before, planned = before;
  RunInProcess(GetParam(), [&](Communicator& comm) {
    const int rank = comm.rank();
    for (auto* flats : {&drawn, &planned})
      for (torch::Tensor& flat : (*flats)[rank]) flat = flat.clone();
    SparseExchange exchange;
    // Rates up and down, so that what is drawn fits into the last buffer or not.
    for (uint64_t step = 0; double rate : {0.0, 0.3, 0.2, 0.9, 1.0, 0.01, 0.35}) {
      const std::vector<SelectedTensor> tensors = {{0, 2000, rate}, {2100, 3900, rate / 2}};
      const DrawKey key{6, step++};
      const ShufflePlan plan = DrawShufflePlan(key, tensors, comm.size(), rank);
      SparseExchange().Shuffle(plan, planned[rank], comm);
      EXPECT_EQ(exchange.Shuffle(key, tensors, drawn[rank], comm), plan.num_moved());
    }
  });
  for (size_t flat : {0, 1}) EXPECT_TRUE(SameBits(Stack(drawn, flat), Stack(planned, flat)));
}

TEST_P(Shuffle, OfNothingSendsNothing) {
  RunInProcess(GetParam(), [&](Communicator& comm) {
    std::vector<torch::Tensor> empty = {torch::empty({0})}, none;
    SparseExchange exchange;
    exchange.Shuffle(DrawShufflePlan(kKey, {}, comm.size(), comm.rank()), empty, comm);
    exchange.Shuffle(DrawShufflePlan(kKey, kTensors, comm.size(), comm.rank()), none, comm);
    EXPECT_EQ(exchange.Shuffle(kKey, {}, empty, comm), 0);
    EXPECT_EQ(comm.traffic().bytes, 0);
    EXPECT_EQ(comm.traffic().messages, 0);
  });
}

TEST_P(Shuffle, AcceptsWeightsThatRequireGradients) {
  RunInProcess(GetParam(), [&](Communicator& comm) {
    std::vector<torch::Tensor> flats = {torch::ones({kNumValues}).requires_grad_()};
    SparseExchange().Shuffle(DrawShufflePlan(kKey, kTensors, comm.size(), comm.rank()), flats,
                             comm);
    EXPECT_TRUE(flats[0].is_leaf());
  });
}

TEST_P(Shuffle, AveragesTheChosenCoordinatesOnly) {
  const auto before = Make(1, RandomNormal);
  auto after = before;
  std::vector<Traffic> traffic(GetParam());
  const std::vector<int64_t> indices = DrawIndices(kKey, kTensors);
  RunInProcess(GetParam(), [&](Communicator& comm) {
    torch::Tensor& flat = after[comm.rank()][0];
    flat = flat.clone();
    SparseExchange().Average(indices, flat, comm);
    SparseExchange().Average({}, flat, comm);
    traffic[comm.rank()] = comm.traffic();
  });
  torch::Tensor mean = torch::zeros({kNumValues});
  for (const auto& member : before)
    mean += member[0];  // in the order of the ranks, as AllReduceSum promises
  mean /= GetParam();
  torch::Tensor chosen = torch::zeros({kNumValues}, torch::kBool);
  for (int64_t index : indices) chosen[index] = true;
  for (int n = 0; n < GetParam(); ++n) {
    EXPECT_TRUE(SameBits(after[n][0], torch::where(chosen, mean, before[n][0]))) << "member " << n;
    const auto [begin, end] = ShardBounds(std::ssize(indices), GetParam(), n);
    const int64_t values = std::ssize(indices) - (end - begin) + (GetParam() - 1) * (end - begin);
    EXPECT_EQ(traffic[n].bytes, 4 * values);
  }
}

INSTANTIATE_TEST_SUITE_P(Members, Shuffle, testing::Values(1, 2, 3, 4, 5));

TEST(SparseExchange, RefusesToDrawOutsideTheVector) {
  RunInProcess(2, [](Communicator& comm) {
    SparseExchange exchange;
    for (int64_t num_values : {0, 5799}) {
      torch::Tensor flat = torch::zeros({num_values});
      EXPECT_THROW(exchange.Shuffle(kKey, kTensors, {&flat, 1}, comm), CheckFailed);
    }
    torch::Tensor flat = torch::zeros({kNumValues});
    const std::vector<SelectedTensor> overlapping = {{0, 10, 0.5}, {9, 10, 0.5}};
    EXPECT_THROW(exchange.Shuffle(kKey, overlapping, {&flat, 1}, comm), CheckFailed);
  });
}

TEST(SparseExchange, RefusesWhatDoesNotFit) {
  RunInProcess(1, [](Communicator& comm) {
    SparseExchange exchange;
    const auto shuffle = [&](const ShufflePlan& plan, torch::Tensor flat) {
      exchange.Shuffle(plan, {&flat, 1}, comm);
    };
    const ShufflePlan good = DrawShufflePlan(kKey, kTensors, 1, 0);
    EXPECT_NO_THROW(shuffle(good, torch::zeros({kNumValues})));
    EXPECT_THROW(shuffle(DrawShufflePlan(kKey, kTensors, 2, 0), torch::zeros({kNumValues})),
                 CheckFailed);
    EXPECT_THROW(shuffle(good, torch::zeros({kNumValues}, torch::kFloat64)), CheckFailed);
    EXPECT_THROW(shuffle(good, torch::zeros({kNumValues, 2}).select(1, 0)), CheckFailed);
    EXPECT_THROW(shuffle(good, torch::Tensor()), CheckFailed);
    const ShufflePlan outside{
        .send_index = {6000}, .receive_index = {0}, .send_counts = {1}, .receive_counts = {1}};
    EXPECT_THROW(shuffle(outside, torch::zeros({kNumValues})), CheckFailed);
    const ShufflePlan miscounted{
        .send_index = {1}, .receive_index = {1}, .send_counts = {2}, .receive_counts = {1}};
    EXPECT_THROW(shuffle(miscounted, torch::zeros({kNumValues})), CheckFailed);
    torch::Tensor flat = torch::zeros({4});
    EXPECT_THROW(exchange.Average(std::vector<int64_t>{4}, flat, comm), CheckFailed);
    EXPECT_THROW(exchange.Average(std::vector<int64_t>{-1}, flat, comm), CheckFailed);
  });
}

TEST(GatherAt, AndScatterAtMoveEveryBit) {
  for (int64_t n : {0, 1, 31, 32, 33, 1000}) {
    const torch::Tensor flat = RandomBits(3 * n, 1, 2), index = torch::arange(n) * 3;
    torch::Tensor values = torch::empty({n}), target = RandomBits(3 * n, 9, 9),
                  expected = target.clone();
    GatherAt(flat, index, values);
    EXPECT_TRUE(torch::equal(Bits(values), Bits(flat).index_select(0, index)));
    ScatterAt(values, index, target);
    Bits(expected).index_copy_(0, index, Bits(values));
    EXPECT_TRUE(SameBits(target, expected)) << n;
  }
}

}  // namespace
}  // namespace basin::comm
