#include "merge/distance.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "tests/merge/trial.h"

namespace basin::merge {
namespace {

using namespace trial;

TEST(MeasureDistance, AddsLayersOverTrainableTensorsOnly) {
  const models::StateDict a{{"conv.weight", torch::tensor({1.F, 2.F})}, {"conv.bias", torch::tensor({1.F})},
                            {"bn.weight", torch::tensor({1.F})}, {"bn.running_mean", torch::tensor({5.F})},
                            {"bn.num_batches_tracked", torch::tensor(3)}};
  const models::StateDict b{{"conv.weight", torch::tensor({4.F, -2.F})}, {"conv.bias", torch::tensor({1.5F})},
                            {"bn.weight", torch::tensor({3.F})}, {"bn.running_mean", torch::tensor({9.F})},
                            {"bn.num_batches_tracked", torch::tensor(7)}};
  const Distance distance = MeasureDistance(a, b);
  ASSERT_EQ(distance.layers.size(), 2U);
  EXPECT_EQ(distance.layers[0].name, "conv");
  EXPECT_EQ(distance.layers[0].l2_squared, 9 + 16 + 0.25);
  EXPECT_EQ(distance.layers[1].l2_squared, 4);
  EXPECT_EQ(distance.l2_squared, 29.25);
  EXPECT_EQ(distance.l2(), std::sqrt(29.25));
}

TEST(MeasureDistance, AgreesWithDistanceSquaredAndIsZeroToItself) {
  const auto a = models::StateOf(*Mlp(0, models::Norm::kBatch)), b = models::StateOf(*Mlp(1, models::Norm::kBatch));
  // Both add some ten thousand squares in double, in another order.
  EXPECT_NEAR(MeasureDistance(a, b).l2_squared / DistanceSquared(a, b), 1, 1e-12);
  EXPECT_EQ(MeasureDistance(a, a).l2_squared, 0);
}

TEST(MeasureDistance, RefusesNetworksThatDoNotMatch) {
  EXPECT_THROW(MeasureDistance(models::StateOf(*Mlp(0)), models::StateOf(*Residual(0, models::Norm::kBatch))), DataError);
}

}  // namespace
}  // namespace basin::merge
