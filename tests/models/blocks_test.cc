#include "models/blocks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/types.h>

#include "base/error.h"
#include "tests/support/message_of.h"
#include "tests/support/tensors.h"

namespace basin::models {
namespace {

TEST(ScaledUnits, RoundsToTheNearestAndRefusesNone) {
  EXPECT_EQ(ScaledUnits({.width = 1.5}, 3), 5);
  EXPECT_EQ(ScaledUnits({.width = 0.1}, 16), 2);
  EXPECT_EQ(ScaledUnits({.width = 0.5}, 1), 1);
  EXPECT_THROW(ScaledUnits({.width = 0.01}, 16), ConfigError);
}

TEST(ScaledUnits, RefusesWhatNoMachineHolds) {
  EXPECT_EQ(ScaledUnits({.width = 1 << 16}, 16), 1 << 20);
  for (const double width : {1.1 * (1 << 16), 1e30}) {
    EXPECT_THAT(test::MessageOf<ConfigError>([&] { ScaledUnits({.name = "resnet20", .width = width}, 16); }),
                ::testing::AllOf(::testing::HasSubstr("model.width is"), ::testing::HasSubstr("more than the 1048576")));
  }
}

TEST(NormLayer, SaysThatBatchNormNeedsMoreThanOneImage) {
  NormLayer units(Norm::kBatch, 3, /*dims=*/1), channels(Norm::kBatch, 3, /*dims=*/2);
  torch::nn::Module parent;
  units.RegisterIn(parent, "units");
  channels.RegisterIn(parent, "channels");
  const torch::Tensor one = tests::RandomTensor({1, 3}, 1), pixels = tests::RandomTensor({1, 3, 2, 1}, 1);
  EXPECT_THAT(test::MessageOf<ConfigError>([&] { units(one); }), ::testing::HasSubstr("at least 2 images"));
  EXPECT_EQ(channels(pixels).sizes(), pixels.sizes()) << "pixels count";
  parent.eval();
  EXPECT_EQ(units(one).sizes(), one.sizes());
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
