// What moves rounded or late, on in-process groups of every size from 1 to 5. The rounding has its own test.
#include "comm/sparse_flight.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <deque>
#include <functional>
#include <mutex>
#include <optional>

#include "base/error.h"
#include "comm/in_process.h"
#include "tests/support/random_bits.h"

namespace basin::comm {
namespace {

using test::RandomBits;
using test::RandomNormal;
using test::SameBits;
using Flats = std::vector<std::vector<torch::Tensor>>;  ///< [member][flat]

constexpr DrawKey kKey{31, 4};
constexpr int64_t kNumValues = 3000;
const std::vector<SelectedTensor> kTensors = {{0, 1, 1}, {4, 2000, 0.1}, {2010, 900, 0.6}};
const std::vector<Payload> kPayloads = {Payload::kFloat32, Payload::kBFloat16, Payload::kFloat8E4M3, Payload::kFloat8E5M2};

/// What `member` holds after the plan has moved rounded values: every other coordinate keeps its bits.
torch::Tensor Expected(const Flats& before, const std::vector<ShufflePlan>& plans, int member, size_t flat, Payload payload) {
  torch::Tensor expected = before[member][flat].clone().view(torch::kInt32);
  auto at = plans[member].receive_index.begin();
  for (size_t source = 0; source < before.size(); ++source) {
    const torch::Tensor rounded = Rounded(before[source][flat], payload).view(torch::kInt32);
    for (int64_t k = 0; k < plans[member].receive_counts[source]; ++k, ++at) expected[*at] = rounded[*at];
  }
  return expected.view(torch::kFloat32);
}

class Flights : public testing::TestWithParam<int> {
 protected:
  int members() const { return GetParam(); }
  Flats Make(int num_flats, const std::function<torch::Tensor(int64_t, uint64_t, uint64_t)>& make) const {
    Flats flats(members());
    for (int n = 0; n < members(); ++n) {
      for (int f = 0; f < num_flats; ++f) flats[n].push_back(make(kNumValues, 100 + f, n));
    }
    return flats;
  }
  std::vector<ShufflePlan> Plans(const DrawKey& key = kKey) const {
    std::vector<ShufflePlan> plans;
    for (int n = 0; n < members(); ++n) plans.push_back(DrawShufflePlan(key, kTensors, members(), n));
    return plans;
  }
  /// Copies of `before` after body(flats of this rank, communicator) on every rank.
  Flats OnAll(const Flats& before, const std::function<void(std::vector<torch::Tensor>&, Communicator&)>& body) const {
    Flats after = before;
    RunInProcess(members(), [&](Communicator& comm) {
      for (torch::Tensor& flat : after[comm.rank()]) flat = flat.clone();
      body(after[comm.rank()], comm);
    });
    return after;
  }
};

TEST_P(Flights, RoundWhatMovesAndNothingElse) {
  const Flats before = Make(2, RandomNormal);
  const auto plans = Plans();
  for (const Payload payload : kPayloads) {
    const Flats after = OnAll(before, [&](auto& flats, Communicator& comm) {
      EXPECT_EQ(SparseExchange().Shuffle(kKey, kTensors, flats, comm, payload), plans[comm.rank()].num_moved());
      EXPECT_EQ(comm.traffic().bytes, 2 * BytesOf(payload) * plans[comm.rank()].num_moved());
      EXPECT_EQ(comm.traffic().messages, members() - 1);  // all counts are positive in this draw
    });
    for (int n = 0; n < members(); ++n) {
      for (size_t f : {0, 1}) EXPECT_TRUE(SameBits(after[n][f], Expected(before, plans, n, f, payload))) << n;
    }
  }
}

TEST_P(Flights, LoseAndInventNoBitOfAMemberThatStandsStill) {
  const Flats before = Make(2, RandomBits);
  const Flats late = OnAll(before, [&](auto& flats, Communicator& comm) {
    auto flight = SparseFlight::OfShuffle(DrawShufflePlan(kKey, kTensors, members(), comm.rank()), 2, Payload::kFloat32);
    flight.Send(flats, comm);
    flight.Land(flats, std::vector{1.0, 1.0});
  });
  const Flats at_once = OnAll(before, [&](auto& flats, Communicator& comm) { SparseExchange().Shuffle(kKey, kTensors, flats, comm); });
  for (int n = 0; n < members(); ++n) {
    for (size_t f : {0, 1}) EXPECT_TRUE(SameBits(late[n][f], at_once[n][f]));
  }
}

/// Whole numbers below 2^20: every sum and difference is exact, so the sum over the members must be.
torch::Tensor WholeNumbers(int64_t n, uint64_t seed, uint64_t member) {
  return (RandomNormal(n, seed, member) * 1000).round();
}

TEST_P(Flights, KeepTheSumOverTheMembersWhateverTheyLearnMeanwhile) {
  const Flats before = Make(1, WholeNumbers), learnt = Make(1, [](auto n, auto, auto member) { return WholeNumbers(n, 7, member); });
  torch::Tensor expected = torch::zeros({kNumValues});
  for (int n = 0; n < members(); ++n) expected += before[n][0] + 3 * learnt[n][0];
  for (const bool averages : {false, true}) {
    // Three exchanges that overlap: each is sent before the one before it lands. A mean over members is a whole number when all are
    // multiples.
    const double scale = averages ? members() : 1;
    const Flats after = OnAll(before, [&](auto& flats, Communicator& comm) {
      flats[0] *= scale;
      std::optional<SparseFlight> earlier;
      for (uint64_t step = 0; step < 3; ++step) {
        flats[0] += scale * learnt[comm.rank()][0];
        auto flight = averages ? SparseFlight::OfAverage(DrawIndices({5, step}, kTensors), Payload::kFloat32)
                               : SparseFlight::OfShuffle(DrawShufflePlan({5, step}, kTensors, members(), comm.rank()), 1,
                                                         Payload::kFloat32);
        flight.Send(flats, comm);
        if (earlier) earlier->Land(flats, std::vector{1.0});
        earlier.emplace(std::move(flight));
      }
      earlier->Land(flats, std::vector{1.0});
    });
    torch::Tensor sum = torch::zeros({kNumValues}, torch::kFloat64);
    for (int n = 0; n < members(); ++n) sum += after[n][0];
    if (averages) {
      // A mean of means is no whole number any more; each of the few operations on numbers below 2^16 rounds by 2^-8 at most.
      EXPECT_LT((sum / scale - expected).abs().max().item<double>(), 0.05);
    } else {
      EXPECT_TRUE(torch::equal(sum.to(torch::kFloat32), expected));
    }
  }
}

TEST_P(Flights, KeepEveryCoordinatesMultisetHoweverManyOverlap) {
  const Flats before = Make(1, RandomBits);
  const Flats after = OnAll(before, [&](auto& flats, Communicator& comm) {
    std::deque<SparseFlight> flights;
    const auto land = [&] {
      std::vector<SparseFlight*> later;
      for (size_t k = 1; k < flights.size(); ++k) later.push_back(&flights[k]);
      flights.front().Land(flats, std::vector{1.0}, later);
      flights.pop_front();
    };
    for (uint64_t step = 0; step < 12; ++step) {
      if (flights.size() == 4) land();
      flights.push_back(SparseFlight::OfShuffle(DrawShufflePlan({5, step}, kTensors, members(), comm.rank()), 1, Payload::kFloat32));
      flights.back().Send(flats, comm);
    }
    while (!flights.empty()) land();
  });
  const auto sorted = [&](const Flats& all) {
    std::vector<torch::Tensor> rows;
    for (const auto& flats : all) rows.push_back(flats[0].view(torch::kInt32));
    return std::get<0>(torch::stack(rows).sort(0));
  };
  EXPECT_TRUE(torch::equal(sorted(before), sorted(after)));
  if (members() > 1) {
    EXPECT_FALSE(SameBits(before[0][0], after[0][0]));
  }
}

TEST_P(Flights, AddWhatWasLearntSinceByTheRule) {
  const Flats before = Make(2, RandomNormal);
  const Flats since = Make(2, [](auto n, auto seed, auto member) { return RandomNormal(n, seed + 50, member); });
  const auto plans = Plans();
  const Flats after = OnAll(before, [&](auto& flats, Communicator& comm) {
    auto flight = SparseFlight::OfShuffle(plans[comm.rank()], 2, Payload::kBFloat16);
    flight.Send(flats, comm);
    for (size_t f : {0, 1}) flats[f] += since[comm.rank()][f];
    flight.Land(flats, std::vector{0.75, 0.0});
  });
  for (int n = 0; n < members(); ++n) {
    torch::Tensor moved = torch::zeros({kNumValues}, torch::kBool);
    for (const int64_t at : plans[n].receive_index) moved[at] = true;
    const torch::Tensor arrived = Expected(before, plans, n, 0, Payload::kBFloat16), now = before[n][0] + since[n][0];
    const torch::Tensor expected = torch::where(moved, arrived + 0.75 * (now - before[n][0]), now);
    EXPECT_TRUE(SameBits(after[n][0], expected));
    EXPECT_TRUE(SameBits(after[n][1], torch::where(moved, Expected(before, plans, n, 1, Payload::kBFloat16), before[n][1] + since[n][1])));
  }
}

TEST_P(Flights, AverageRoundedValuesInFloat32) {
  const Flats before = Make(1, RandomNormal);
  const auto indices = DrawIndices(kKey, kTensors);
  torch::Tensor chosen = torch::zeros({kNumValues}, torch::kBool);
  for (const int64_t at : indices) chosen[at] = true;
  for (const Payload payload : kPayloads) {
    torch::Tensor mean = torch::zeros({kNumValues});
    for (int n = 0; n < members(); ++n) mean = n == 0 ? Rounded(before[0][0], payload) : mean + Rounded(before[n][0], payload);
    mean /= members();
    const auto n_values = std::ssize(indices), peers = int64_t{members()} - 1;
    const Flats late = OnAll(before, [&](auto& flats, Communicator& comm) {
      auto flight = SparseFlight::OfAverage(indices, payload);
      flight.Send(flats, comm);
      flight.Land(flats, std::vector{1.0});
      EXPECT_EQ(comm.traffic().bytes, peers * n_values * BytesOf(payload));
      EXPECT_EQ(comm.traffic().messages, peers);
    });
    int64_t bytes = 0;
    std::mutex mutex;
    const Flats at_once = OnAll(before, [&](auto& flats, Communicator& comm) {
      SparseExchange().Average(indices, flats[0], comm, payload);
      EXPECT_LE(comm.traffic().messages, 2 * peers);
      const std::lock_guard lock(mutex);
      bytes += comm.traffic().bytes;
    });
    EXPECT_EQ(bytes, 2 * peers * n_values * BytesOf(payload));  // of all ranks, as an AllReduceSum
    for (int n = 0; n < members(); ++n) {
      EXPECT_TRUE(SameBits(late[n][0], torch::where(chosen, mean, before[n][0])));
      const torch::Tensor back = members() == 1 ? before[n][0] : Rounded(mean, payload);
      EXPECT_TRUE(SameBits(at_once[n][0], torch::where(chosen, back, before[n][0])));
    }
  }
}

TEST_P(Flights, ArriveTheSameWhenSentAgainFromWhatTheyHeld) {
  const Flats before = Make(2, RandomNormal);
  for (const bool averages : {false, true}) {
    const int num_flats = averages ? 1 : 2;
    const auto make = [&](int rank) {
      return averages ? SparseFlight::OfAverage(DrawIndices(kKey, kTensors), Payload::kFloat8E4M3)
                      : SparseFlight::OfShuffle(DrawShufflePlan(kKey, kTensors, members(), rank), num_flats, Payload::kFloat8E4M3);
    };
    const auto run = [&](bool again) {
      return OnAll(before, [&](auto& flats, Communicator& comm) {
        flats.resize(num_flats);
        auto first = make(comm.rank());
        first.Send(flats, comm);
        auto second = make(comm.rank());
        second.own().copy_(first.own());
        second.base().copy_(first.base());
        for (torch::Tensor& flat : flats) flat.mul_(1.5);
        if (again) second.SendAgain(comm);
        (again ? second : first).Land(flats, std::vector<double>(num_flats, 1.0));
        comm.Barrier();  // nobody leaves while a peer reads
      });
    };
    const Flats once = run(false), twice = run(true);
    for (int n = 0; n < members(); ++n) {
      for (int f = 0; f < num_flats; ++f) EXPECT_TRUE(SameBits(once[n][f], twice[n][f])) << averages;
    }
  }
}

TEST_P(Flights, OfNothingLandAndSendNothing) {
  OnAll(Make(1, RandomBits), [&](auto& flats, Communicator& comm) {
    for (const bool averages : {false, true}) {
      auto flight = averages ? SparseFlight::OfAverage({}, Payload::kFloat8E5M2)
                             : SparseFlight::OfShuffle(DrawShufflePlan(kKey, {}, members(), comm.rank()), 1, Payload::kFloat8E5M2);
      flight.Send(flats, comm);
      flight.Land(flats, std::vector{1.0});
    }
    EXPECT_EQ(comm.traffic().messages, 0);
  });
}

INSTANTIATE_TEST_SUITE_P(Members, Flights, testing::Values(1, 2, 3, 4, 5));

TEST(SparseFlight, RefusesWhatDoesNotFit) {
  RunInProcess(1, [](Communicator& comm) {
    std::vector<torch::Tensor> one = {torch::zeros({4})}, two = {torch::zeros({4}), torch::zeros({4})};
    auto flight = SparseFlight::OfAverage({1, 4}, Payload::kFloat32);
    EXPECT_THROW(flight.Land(one, std::vector{1.0}), CheckFailed);  // never sent
    EXPECT_THROW(flight.Send(two, comm), CheckFailed);
    EXPECT_THROW(flight.Send(one, comm), CheckFailed);  // beyond the vector
    auto shuffle = SparseFlight::OfShuffle(DrawShufflePlan(kKey, {}, 2, 0), 1, Payload::kFloat32);
    EXPECT_THROW(shuffle.Send(one, comm), CheckFailed);  // a plan for two
  });
}

}  // namespace
}  // namespace basin::comm
