#include "merge/plane.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "tests/merge/trial.h"

namespace basin::merge {
namespace {

using namespace trial;
using models::Norm;

class PlaneOfThree : public testing::Test {
 protected:
  const std::array<models::StateDict, 3> networks_{models::CloneState(models::StateOf(*Mlp(0, Norm::kBatch))),
                                                   models::CloneState(models::StateOf(*Mlp(1, Norm::kBatch))),
                                                   models::CloneState(models::StateOf(*Mlp(2, Norm::kBatch)))};
  const Plane plane_{networks_[0], networks_[1], networks_[2]};
};

double Length(const PlanePoint& p, const PlanePoint& q) { return std::hypot(p.x - q.x, p.y - q.y); }

TEST_F(PlaneOfThree, DistancesInThePlaneAreThoseOfTheWeights) {
  for (const auto& [i, j] : {std::pair{0, 1}, {0, 2}, {1, 2}}) {
    const double wished = std::sqrt(DistanceSquared(networks_[i], networks_[j]));
    EXPECT_NEAR(Length(plane_.corners()[i], plane_.corners()[j]) / wished, 1, 1e-12);
  }
  EXPECT_EQ(plane_.corners()[1].y, 0);
  EXPECT_GT(plane_.corners()[2].y, 0);
}

TEST_F(PlaneOfThree, CornersAreTheNetworksBitForBit) {
  for (size_t k = 0; k < 3; ++k) {
    const auto state = plane_.At(plane_.corners()[k]);
    for (size_t i = 0; i < state.size(); ++i) EXPECT_TRUE(torch::equal(state[i].tensor, networks_[k][i].tensor)) << state[i].name;
  }
}

TEST_F(PlaneOfThree, APointLiesAtItsCoordinatesDistances) {
  const PlanePoint point{0.3 * plane_.corners()[1].x, -0.2 * plane_.corners()[2].y};
  const auto state = plane_.At(point);
  for (size_t k = 0; k < 3; ++k) {
    // Rounded to float32.
    EXPECT_NEAR(std::sqrt(DistanceSquared(state, networks_[k])) / Length(point, plane_.corners()[k]), 1, 1e-6);
  }
  const auto weights = plane_.WeightsAt(point);
  EXPECT_NEAR(weights[0] + weights[1] + weights[2], 1, 1e-15);
}

TEST_F(PlaneOfThree, VariancesNeverBecomeNegative) {
  models::StateDict large = models::CloneState(networks_[1]);
  for (auto& item : large) {
    if (item.name.ends_with("running_var")) item.tensor.fill_(100);
  }
  const Plane plane(networks_[0], large, networks_[2]);
  for (const auto& item : plane.At({-0.5 * plane.corners()[1].x, 0})) {
    if (item.name.ends_with("running_var")) EXPECT_EQ(item.tensor.min().item<double>(), 0);
  }
}

TEST_F(PlaneOfThree, TheGridCoversTheCornersAndItsMargin) {
  const auto grid = GridAround(plane_, 5, 0.25);
  ASSERT_EQ(grid.size(), 25U);
  const double left = std::min(0.0, plane_.corners()[2].x), right = std::max(plane_.corners()[1].x, plane_.corners()[2].x);
  EXPECT_NEAR(grid.front().x, left - 0.25 * (right - left), 1e-12);
  EXPECT_NEAR(grid.back().x, right + 0.25 * (right - left), 1e-12);
  EXPECT_NEAR(grid.front().y, -0.25 * plane_.corners()[2].y, 1e-12);
  EXPECT_NEAR(grid.back().y, 1.25 * plane_.corners()[2].y, 1e-12);
  EXPECT_EQ(grid[0].y, grid[4].y);  // row by row
}

TEST_F(PlaneOfThree, RefusesALine) {
  EXPECT_THROW(Plane(networks_[0], networks_[0], networks_[1]), ConfigError);
  EXPECT_THROW(Plane(networks_[0], networks_[1], networks_[0]), ConfigError);
  const auto middle = AverageStates(std::vector{networks_[0], networks_[1]});
  EXPECT_THROW(Plane(networks_[0], networks_[1], middle), ConfigError);
}

}  // namespace
}  // namespace basin::merge
