#include <gtest/gtest.h>

#include <vector>

#include "base/error.h"
#include "base/seed.h"
#include "data/dataset.h"

namespace basin::data {
namespace {

Split RandomSplit(torch::ScalarType dtype, int64_t count, int64_t channels, int64_t height, int64_t width) {
  base::Stream stream({.run_seed = 5});
  torch::Tensor images = torch::empty({count, channels, height, width}, torch::kFloat32);
  float* pixels = images.mutable_data_ptr<float>();
  for (int64_t i = 0; i < images.numel(); ++i) {
    pixels[i] = static_cast<float>(dtype == torch::kUInt8 ? stream.NextBelow(256) : stream.NextNormal());
  }
  return {.images = images.to(dtype), .labels = torch::arange(count)};
}

Normalisation Constants(int64_t channels) {
  Normalisation result;
  for (int64_t c = 0; c < channels; ++c) {
    result.mean.push_back(0.41 + 0.07 * static_cast<double>(c));
    result.std.push_back(0.23 + 0.011 * static_cast<double>(c));
  }
  return result;
}

struct Case {
  torch::ScalarType dtype;
  int64_t channels, height, width;
  bool channels_last;
};

class TakeImagesOf : public testing::TestWithParam<Case> {};

// Pixel by pixel through at-accessors: no stride, table or loop of the code under test.
TEST_P(TakeImagesOf, MatchesTheFormulaForEveryPixel) {
  const auto [dtype, channels, height, width, channels_last] = GetParam();
  const Split split = RandomSplit(dtype, 6, channels, height, width);
  const Normalisation constants = Constants(channels);
  const std::vector<int64_t> wanted = {5, 0, 0, 3};
  const torch::Tensor taken = data::TakeImages(split, constants, torch::tensor(wanted), torch::kCPU, channels_last);
  ASSERT_EQ(taken.sizes(), at::IntArrayRef({4, channels, height, width}));
  const torch::Tensor raw = split.images.to(torch::kFloat64);
  const auto in = raw.accessor<double, 4>();
  const auto out = taken.accessor<float, 4>();
  for (size_t i = 0; i < wanted.size(); ++i) {
    for (int64_t c = 0; c < channels; ++c) {
      for (int64_t y = 0; y < height; ++y) {
        for (int64_t x = 0; x < width; ++x) {
          const double pixel = in[wanted[i]][c][y][x];
          const double value = dtype == torch::kUInt8 ? pixel / 255 : pixel;
          const size_t channel = static_cast<size_t>(c);
          ASSERT_EQ(out[static_cast<int64_t>(i)][c][y][x],
                    static_cast<float>((value - constants.mean[channel]) / constants.std[channel]));
        }
      }
    }
  }
}

TEST_P(TakeImagesOf, HasTheMemoryFormatThatWasAskedFor) {
  const auto [dtype, channels, height, width, channels_last] = GetParam();
  const Split split = RandomSplit(dtype, 3, channels, height, width);
  const torch::Tensor taken =
      data::TakeImages(split, Constants(channels), torch::tensor({2, 1}, torch::kInt64), torch::kCPU, channels_last);
  EXPECT_TRUE(taken.is_contiguous(channels_last ? at::MemoryFormat::ChannelsLast : at::MemoryFormat::Contiguous));
}

TEST_P(TakeImagesOf, AgreesWithTheTensorOperationsBitForBit) {
  const auto [dtype, channels, height, width, channels_last] = GetParam();
  const Split split = RandomSplit(dtype, 9, channels, height, width);
  const torch::Tensor indices = torch::tensor({8, 2, 4, 4}, torch::kInt64);
  const torch::Tensor taken = data::TakeImages(split, Constants(channels), indices, torch::kCPU, channels_last);
  EXPECT_TRUE(torch::equal(taken, Normalise(split.images.index_select(0, indices), Constants(channels))));
}

INSTANTIATE_TEST_SUITE_P(Layouts, TakeImagesOf,
                         testing::Values(Case{torch::kUInt8, 3, 4, 5, true}, Case{torch::kUInt8, 3, 4, 5, false},
                                         Case{torch::kUInt8, 1, 4, 5, true}, Case{torch::kUInt8, 1, 4, 5, false},
                                         Case{torch::kUInt8, 4, 3, 2, true}, Case{torch::kFloat32, 3, 4, 5, true},
                                         Case{torch::kFloat32, 2, 5, 3, true}, Case{torch::kFloat32, 2, 5, 3, false},
                                         Case{torch::kUInt8, 3, 1, 1, true}));

TEST(TakeImages, NormalisesByHand) {
  const Split split{.images = torch::tensor({0, 51, 255}, torch::kUInt8).view({3, 1, 1, 1}), .labels = torch::arange(3)};
  const torch::Tensor taken =
      data::TakeImages(split, {.mean = {0.2}, .std = {0.4}}, torch::arange(3), torch::kCPU, /*channels_last=*/false);
  EXPECT_TRUE(torch::equal(taken.flatten(), torch::tensor({-0.5f, 0.0f, 2.0f}))) << taken;
}

TEST(TakeImages, EveryByteIsRoundedOnce) {
  const Split split{.images = torch::arange(256).to(torch::kUInt8).view({256, 1, 1, 1}), .labels = torch::arange(256)};
  const Normalisation mnist{.mean = {.1307}, .std = {.3081}};
  const torch::Tensor taken = data::TakeImages(split, mnist, torch::arange(256), torch::kCPU, /*channels_last=*/false);
  for (int x = 0; x < 256; ++x) {
    EXPECT_EQ(taken[x].item<float>(), static_cast<float>((x / 255.0 - .1307) / .3081));
  }
}

TEST(TakeImages, NoIndicesGiveAnEmptyBatch) {
  const Split split = RandomSplit(torch::kUInt8, 2, 3, 4, 4);
  EXPECT_EQ(data::TakeImages(split, Constants(3), torch::empty({0}, torch::kInt64), torch::kCPU, true).size(0), 0);
}

TEST(TakeImages, RefusesIndicesAndConstantsThatDoNotFit) {
  const Split split = RandomSplit(torch::kUInt8, 2, 3, 4, 4);
  const auto take = [&](const torch::Tensor& indices, int64_t channels) {
    return data::TakeImages(split, Constants(channels), indices, torch::kCPU, false);
  };
  EXPECT_THROW(take(torch::tensor({2}, torch::kInt64), 3), CheckFailed);
  EXPECT_THROW(take(torch::tensor({-1}, torch::kInt64), 3), CheckFailed);
  EXPECT_THROW(take(torch::tensor({0}, torch::kInt32), 3), CheckFailed);
  EXPECT_THROW(take(torch::tensor({0}, torch::kInt64), 1), CheckFailed);
}

}  // namespace
}  // namespace basin::data
