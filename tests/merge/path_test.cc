#include "merge/path.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <limits>

#include "base/error.h"
#include "tests/support/random_tensor.h"

namespace basin::merge {
namespace {

using models::StateDict;
using test::NormalTensor;

StateDict RandomState(uint64_t seed) {
  base::Stream stream({.run_seed = seed});
  return {{"w", NormalTensor({40, 30}, stream).to(torch::kFloat32)},
          {"bn.running_var", NormalTensor({5}, stream).to(torch::kBFloat16)},
          {"bn.num_batches_tracked", torch::tensor(static_cast<int64_t>(seed))}};
}

bool SameBits(const StateDict& a, const StateDict& b) {
  for (size_t i = 0; i < a.size(); ++i) {
    const torch::Tensor &x = a[i].tensor, &y = b[i].tensor;
    if (a[i].name != b[i].name || x.scalar_type() != y.scalar_type() || x.sizes() != y.sizes()) return false;
    if (std::memcmp(x.const_data_ptr(), y.const_data_ptr(), x.nbytes()) != 0) return false;
  }
  return a.size() == b.size();
}

TEST(Interpolate, ReturnsTheEndsToTheBit) {
  const StateDict a = RandomState(9), b = RandomState(4);
  EXPECT_TRUE(SameBits(Interpolate(a, b, 0), a));
  EXPECT_TRUE(SameBits(Interpolate(a, b, 1), b));
}

TEST(Interpolate, ReturnsCopies) {
  const StateDict a = {{"w", torch::tensor({1.0})}}, b = {{"w", torch::tensor({2.0})}};
  Interpolate(a, b, 0)[0].tensor.fill_(9);
  EXPECT_EQ(a[0].tensor.item<float>(), 1);
}

TEST(Interpolate, MixesFloatingTensorsInDoubleAndTakesTheLargerInteger) {
  const StateDict a = RandomState(9), b = RandomState(4);
  for (const double lambda : {0.25, 1.0 / 3, 0.9}) {
    const StateDict mixed = Interpolate(a, b, lambda);
    for (size_t i = 0; i < 2; ++i) {
      const torch::Tensor x = a[i].tensor.to(torch::kFloat64), y = b[i].tensor.to(torch::kFloat64);
      EXPECT_TRUE(torch::equal(mixed[i].tensor, ((1 - lambda) * x + lambda * y).to(a[i].tensor.scalar_type())))
          << a[i].name;
    }
    EXPECT_EQ(mixed[2].tensor.item<int64_t>(), 9);
  }
}

TEST(Interpolate, RejectsNetworksThatDoNotMatch) {
  EXPECT_THROW(Interpolate({{"w", torch::zeros({2})}}, {{"w", torch::zeros({3})}}, 0.5), DataError);
  EXPECT_THROW(Interpolate({{"w", torch::zeros({2})}}, {{"v", torch::zeros({2})}}, 0), DataError);
}

TEST(Lambdas, AreEvenlySpacedWithExactEnds) {
  EXPECT_EQ(Lambdas(2), (std::vector<double>{0, 1}));
  EXPECT_EQ(Lambdas(5), (std::vector<double>{0, 0.25, 0.5, 0.75, 1}));
  EXPECT_EQ(Lambdas(25)[12], 0.5);
  EXPECT_EQ(Lambdas(50).back(), 1);
  EXPECT_THROW(Lambdas(1), ConfigError);
}

std::vector<PathPoint> Curve(
    int points, const std::function<double(double)>& loss,
    const std::function<double(double)>& accuracy = [](double) { return 0.0; }) {
  std::vector<PathPoint> curve;
  for (const double lambda : Lambdas(points)) curve.push_back({lambda, loss(lambda), accuracy(lambda)});
  return curve;
}

TEST(Barriers, AreAllTheHeightOfAParabolaBetweenEqualEnds) {
  const Barriers barriers = MeasureBarriers(Curve(25, [](double l) { return 0.5 + 4 * 3 * l * (1 - l); }));
  EXPECT_DOUBLE_EQ(barriers.max_mean, 3);
  EXPECT_DOUBLE_EQ(barriers.linear, 3);
  EXPECT_DOUBLE_EQ(barriers.mid, 3);
}

TEST(Barriers, DifferForUnequalEnds) {
  // L(l) = 1 + 0.8 l + 4 l (1 - l): highest at 0.6 with 2.44; above the chord highest at 1/2 with 1; mean of the
  // ends 1.4.
  const Barriers barriers = MeasureBarriers(Curve(11, [](double l) { return 1 + 0.8 * l + 4 * l * (1 - l); }));
  // A few roundings of numbers near 2.
  EXPECT_NEAR(barriers.max_mean, 1.04, 1e-14);
  EXPECT_NEAR(barriers.linear, 1, 1e-14);
  EXPECT_NEAR(barriers.mid, 1, 1e-14);
}

TEST(Barriers, OfAStraightLineAreZeroButTheFirst) {
  const Barriers barriers = MeasureBarriers(Curve(5, [](double l) { return 2 - l; }));
  EXPECT_DOUBLE_EQ(barriers.max_mean, 0.5);  // half the difference of the ends
  EXPECT_EQ(barriers.linear, 0);
  EXPECT_EQ(barriers.mid, 0);
}

TEST(Barriers, OfABetterMiddleAreNegativeOnlyAtTheMiddle) {
  const Barriers barriers = MeasureBarriers(Curve(5, [](double l) { return 1 - l * (1 - l); }));
  EXPECT_EQ(barriers.max_mean, 0);
  EXPECT_EQ(barriers.linear, 0);
  EXPECT_DOUBLE_EQ(barriers.mid, -0.25);
}

TEST(Barriers, TakeTheMiddleBetweenItsNeighboursWhenThePathHasNone) {
  // Points at 0, 1/3, 2/3, 1 with losses 0, 1, 3, 0.
  const std::vector<PathPoint> curve = {{0, 0, 0}, {1.0 / 3, 1, 0}, {2.0 / 3, 3, 0}, {1, 0, 0}};
  EXPECT_NEAR(MeasureBarriers(curve).mid, 2, 1e-14);  // thirds are rounded
  EXPECT_EQ(MeasureBarriers(std::vector<PathPoint>{{0, 1, 0}, {1, 3, 0}}).mid, 0);
}

TEST(Barriers, OfAccuracyCountTheLossBelowTheMeanOfTheEnds) {
  const auto accuracy = [](double l) { return 0.9 - 0.1 * l - (l == 0.5 ? 0.4 : 0); };
  EXPECT_NEAR(MeasureBarriers(Curve(
                                  5, [](double) { return 0.0; }, accuracy))
                  .accuracy_max_mean,
              0.4, 1e-15);
}

TEST(Barriers, ShowThatTheLossWasNotANumber) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const Barriers barriers = MeasureBarriers(std::vector<PathPoint>{{0, 1, 0}, {0.5, nan, 0}, {0.75, 9, 0}, {1, 1, 0}});
  EXPECT_TRUE(std::isnan(barriers.max_mean));
  EXPECT_TRUE(std::isnan(barriers.linear));
  EXPECT_TRUE(std::isnan(barriers.mid));
}

TEST(Barriers, AreNotMeasuredOnACurveOutOfOrder) {
  EXPECT_THROW(MeasureBarriers(std::vector<PathPoint>{{0, 1, 0}}), CheckFailed);
  EXPECT_THROW(MeasureBarriers(std::vector<PathPoint>{{0, 1, 0}, {0.5, 1, 0}}), CheckFailed);
  EXPECT_THROW(MeasureBarriers(std::vector<PathPoint>{{0, 1, 0}, {0.7, 1, 0}, {0.3, 1, 0}, {1, 1, 0}}), CheckFailed);
}

}  // namespace
}  // namespace basin::merge
