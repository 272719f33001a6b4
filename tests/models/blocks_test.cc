#include "models/blocks.h"

#include <gtest/gtest.h>
#include <torch/types.h>

#include "base/error.h"
#include "tests/support/tensors.h"

namespace basin::models {
namespace {

TEST(ScaledUnits, RoundsToTheNearestAndRefusesNone) {
  EXPECT_EQ(ScaledUnits({.width = 1.5}, 3), 5);
  EXPECT_EQ(ScaledUnits({.width = 0.1}, 16), 2);
  EXPECT_EQ(ScaledUnits({.width = 0.5}, 1), 1);
  EXPECT_THROW(ScaledUnits({.width = 0.01}, 16), ConfigError);
}

TEST(ChannelsLast, HoldsForOneChannelToo) {
  for (const int64_t channels : {1, 3}) {
    const torch::Tensor images = tests::RandomTensor({2, channels, 4, 5}, 1);
    const torch::Tensor x = ChannelsLast(images);
    EXPECT_TRUE(torch::equal(x, images));
    // What LibTorch's kernels ask for when they choose a format.
    EXPECT_EQ(x.suggest_memory_format(), torch::MemoryFormat::ChannelsLast) << channels << " channels";
  }
}

TEST(GlobalMean, IsTheMeanOverThePixels) {
  const torch::Tensor x = tests::RandomTensor({2, 3, 4, 5}, 1);
  EXPECT_LT(tests::RelativeDifference(GlobalMean(x), x.to(torch::kFloat64).flatten(2).mean(2)), 1e-6);
  const torch::Tensor pixel = tests::RandomTensor({2, 3, 1, 1}, 1);
  EXPECT_TRUE(torch::equal(GlobalMean(pixel), pixel.reshape({2, 3})));
}

}  // namespace
}  // namespace basin::models
