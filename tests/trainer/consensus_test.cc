#include "trainer/consensus.h"

#include <gtest/gtest.h>

#include <cmath>

namespace basin::trainer {
namespace {

torch::Tensor Sketches(const std::vector<torch::Tensor>& members, uint64_t seed, int64_t step) {
  std::vector<torch::Tensor> rows;
  for (const torch::Tensor& member : members) rows.push_back(torch::tensor(at::ArrayRef<double>(Sketch(member, seed, step)), torch::kFloat64));
  return torch::stack(rows);
}

/// The definition, on the weights themselves.
double Exact(const std::vector<torch::Tensor>& members) {
  const torch::Tensor all = torch::stack(members).to(torch::kFloat64);
  double sum = 0;
  for (const torch::Tensor& member : members) sum += (member - all.mean(0)).square().sum().item<double>();
  return sum / static_cast<double>(members.size());
}

std::vector<torch::Tensor> SomeMembers() {
  torch::manual_seed(1);
  std::vector<torch::Tensor> members;
  for (int m = 0; m < 4; ++m) members.push_back(torch::randn({5003}) * (m + 1));
  return members;
}

TEST(Consensus, OfEqualMembersIsZeroToTheBit) {
  const torch::Tensor weights = torch::randn({3000});
  EXPECT_EQ(ConsensusSquared(Sketches({weights, weights.clone()}, 1, 7)), 0);
}

TEST(Consensus, OfWeightsThatFitTheSketchIsExact) {
  // Up to 1024 coordinates every sum holds one: signs cancel in squares.
  const std::vector<torch::Tensor> members{torch::randn({1000}), torch::randn({1000}), torch::randn({1000})};
  EXPECT_NEAR(ConsensusSquared(Sketches(members, 1, 0)) / Exact(members), 1, 1e-6);  // float32 weights, summed in another order
}

TEST(Consensus, IsRightOnTheMeanWithTheStatedSpread) {
  const std::vector<torch::Tensor> members = SomeMembers();
  const double exact = Exact(members);
  constexpr int kDraws = 200;
  double sum = 0, squares = 0;
  for (int step = 0; step < kDraws; ++step) {
    const double ratio = ConsensusSquared(Sketches(members, 3, step)) / exact;
    sum += ratio;
    squares += (ratio - 1) * (ratio - 1);
  }
  EXPECT_NEAR(sum / kDraws, 1, 4 * 0.045 / std::sqrt(kDraws));  // four standard errors
  EXPECT_LT(std::sqrt(squares / kDraws), 0.05);                // sqrt(2 / 1024) = 0.044, and a little for chance
  EXPECT_GT(std::sqrt(squares / kDraws), 0.005);               // it is a draw
}

TEST(Consensus, DrawsTheSameSignsForTheSameSeedAndStepAlone) {
  const torch::Tensor weights = SomeMembers()[0];
  EXPECT_EQ(Sketch(weights, 1, 2), Sketch(weights, 1, 2));
  EXPECT_NE(Sketch(weights, 1, 2), Sketch(weights, 1, 3));
  EXPECT_NE(Sketch(weights, 1, 2), Sketch(weights, 2, 2));
}

}  // namespace
}  // namespace basin::trainer
