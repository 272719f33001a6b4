#include "trainer/strategies/dense.h"

#include <gtest/gtest.h>

#include <cstring>

#include "comm/in_process.h"
#include "tests/support/strategy_trial.h"

namespace basin::trainer {
namespace {

using test::BareMember;

MemberState StateOf(BareMember& member, const RunShape& shape) {
  return {0, member.weights, member.moments, member.statistics, shape.slots};
}

TEST(Dense, PacksWeightsThenStatistics) {
  const RunShape shape = test::SmallShape(1, 1);
  auto members = test::RandomMembers(shape);
  torch::Tensor packed, weights;
  Pack(StateOf(members[0], shape), Carry::kState, packed);
  Pack(StateOf(members[0], shape), Carry::kWeights, weights);
  EXPECT_TRUE(torch::equal(packed, test::State(members[0])));
  EXPECT_TRUE(torch::equal(weights, members[0].weights));
  EXPECT_EQ(packed.numel(), NumCarried(shape, Carry::kState));
  EXPECT_EQ(weights.numel(), NumCarried(shape, Carry::kWeights));
}

TEST(Dense, UnpacksInPlace) {
  const RunShape shape = test::SmallShape(2, 1);
  auto members = test::RandomMembers(shape);
  const torch::Tensor view = members[0].weights.narrow(0, 3, 4);  // as a model's parameter is
  MemberState state = StateOf(members[0], shape);
  Unpack(test::State(members[1]), Carry::kState, state);
  EXPECT_TRUE(torch::equal(test::State(members[0]), test::State(members[1])));
  EXPECT_TRUE(torch::equal(view, members[1].weights.narrow(0, 3, 4)));
}

TEST(Dense, PullsByNothingWithoutTouchingABit) {
  const RunShape shape = test::SmallShape(1, 1);
  auto members = test::RandomMembers(shape);
  members[0].weights[0] = -0.0f;
  const auto before = test::Clone(members);
  MemberState state = StateOf(members[0], shape);
  PullTo(torch::ones({26}), 0, Carry::kState, state);
  EXPECT_EQ(
      std::memcmp(before[0].weights.data_ptr(), members[0].weights.data_ptr(), 21 * sizeof(float)),
      0);
}

TEST(Dense, PullsAllTheWayAndPartOfIt) {
  const RunShape shape = test::SmallShape(2, 1);
  auto members = test::RandomMembers(shape);
  const torch::Tensor from = test::State(members[0]), to = test::State(members[1]);
  MemberState state = StateOf(members[0], shape);
  PullTo(to, 0.25, Carry::kState, state);
  // Two roundings of float32 at magnitudes up to 4.
  EXPECT_TRUE(torch::allclose(test::State(members[0]), 0.75 * from + 0.25 * to, 0, 1e-6));
  PullTo(to, 1, Carry::kState, state);
  EXPECT_TRUE(torch::equal(test::State(members[0]), to));
}

TEST(Dense, CountsAnAllReduceAsItIsSent) {
  for (int size : {1, 2, 3, 4, 5}) {
    for (int64_t n = 0; n < 12; ++n) {
      std::vector<comm::Traffic> sent(size);
      comm::RunInProcess(size, [&](comm::Communicator& comm) {
        torch::Tensor x = torch::ones({n}, torch::kFloat64);
        comm.AllReduceSum(x);
        sent[comm.rank()] = comm.traffic();
      });
      double bytes = 0, messages = 0;
      for (const comm::Traffic& traffic : sent) {
        bytes += static_cast<double>(traffic.bytes);
        messages += static_cast<double>(traffic.messages);
      }
      const MeanTraffic predicted = AllReduceTraffic(n, 8, size);
      EXPECT_DOUBLE_EQ(predicted.bytes, bytes / size) << n << " elements, " << size << " ranks";
      EXPECT_DOUBLE_EQ(predicted.messages, messages / size)
          << n << " elements, " << size << " ranks";
    }
  }
}

}  // namespace
}  // namespace basin::trainer
