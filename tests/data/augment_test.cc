#include "data/augment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>
#include <tuple>

#include "base/error.h"
#include "tests/support/message_of.h"
#include "tests/support/tensors.h"

namespace basin::data {
namespace {

using test::MessageOf;
using testing::HasSubstr;

const Augmentations kEverything = {Flip{}, Crop{.pad = 2}, RandomErasing{.p = 0.5}, Mixup{}, CutMix{}};

base::StreamId Id(uint64_t step, uint64_t member = 0, uint64_t seed = 1) {
  return {.run_seed = seed, .purpose = base::Purpose::kAugment, .a = step, .b = member};
}

Batch RandomBatch(int64_t count = 16, at::MemoryFormat format = at::MemoryFormat::Contiguous) {
  return {.images = tests::RandomTensor({count, 3, 8, 8}, 2).contiguous(format), .labels = torch::arange(count)};
}

torch::Tensor Augmented(const Augmentations& augmentations, const base::StreamId& id,
                        at::MemoryFormat format = at::MemoryFormat::Contiguous) {
  Batch batch = RandomBatch(16, format);
  Augment(batch, augmentations, id);
  return batch.images;
}

TEST(Augment, IsAPureFunctionOfBatchAndStream) {
  torch::manual_seed(1);
  const torch::Tensor first = Augmented(kEverything, Id(3, 2));
  torch::manual_seed(2);
  EXPECT_TRUE(torch::equal(first, Augmented(kEverything, Id(3, 2))));
  EXPECT_FALSE(torch::equal(first, Augmented(kEverything, Id(4, 2)))) << "another step";
  EXPECT_FALSE(torch::equal(first, Augmented(kEverything, Id(3, 1)))) << "another member";
  EXPECT_FALSE(torch::equal(first, Augmented(kEverything, Id(3, 2, 5)))) << "another run";
}

TEST(Augment, GivesTheSamePictureInBothMemoryFormatsAndKeepsThem) {
  for (uint64_t step = 0; step < 10; ++step) {
    const torch::Tensor planar = Augmented(kEverything, Id(step));
    const torch::Tensor last = Augmented(kEverything, Id(step), at::MemoryFormat::ChannelsLast);
    EXPECT_TRUE(planar.is_contiguous());
    EXPECT_TRUE(last.is_contiguous(at::MemoryFormat::ChannelsLast));
    EXPECT_TRUE(torch::equal(planar, last));
  }
}

TEST(Augment, WorksOnImagesWithOtherStrides) {
  Batch strided = RandomBatch();
  strided.images = strided.images.transpose(2, 3).contiguous().transpose(2, 3);
  ASSERT_FALSE(strided.images.is_contiguous());
  Augment(strided, kEverything, Id(7));
  EXPECT_TRUE(torch::equal(strided.images, Augmented(kEverything, Id(7))));
}

TEST(Augment, FlippingAllImagesMirrorsThem) {
  EXPECT_TRUE(torch::equal(Augmented({Flip{.p = 1}}, Id(0)), RandomBatch().images.flip({3})));
}

TEST(Augment, WithNothingToDoChangesNothing) {
  const Augmentations off = {Flip{.p = 0}, Crop{.pad = 0}, RandomErasing{.p = 0}, Mixup{.alpha = 0}, CutMix{.alpha = 0}};
  for (const Augmentations& nothing : {Augmentations{}, off}) {
    Batch batch = RandomBatch();
    Augment(batch, nothing, Id(0));
    EXPECT_TRUE(torch::equal(batch.images, RandomBatch().images));
    EXPECT_FALSE(batch.partner_labels.defined());
    EXPECT_EQ(batch.lambda, 1);
  }
}

TEST(Augment, MixupBlendsImagesAsItsLambdaSays) {
  for (int64_t count : {1, 2, 15}) {
    Batch batch = RandomBatch(count);
    Augment(batch, {Mixup{.alpha = 1}}, Id(0));
    const torch::Tensor original = RandomBatch(count).images.to(torch::kFloat64);
    const torch::Tensor expected = batch.lambda * original + (1 - batch.lambda) * original.flip({0});
    // Three roundings of float32 on numbers below 8.
    EXPECT_LT((batch.images - expected).abs().max().item<double>(), 3 * 8 * 0x1.0p-24);
    EXPECT_TRUE(torch::equal(batch.partner_labels, torch::arange(count).flip({0})));
    EXPECT_TRUE(torch::equal(batch.labels, torch::arange(count)));
  }
}

TEST(Augment, CutMixLambdaIsTheShareOfThePixelsThatStayed) {
  for (uint64_t step = 0; step < 50; ++step) {
    Batch batch = RandomBatch(4);
    Augment(batch, {CutMix{.alpha = 1}}, Id(step));
    const torch::Tensor original = RandomBatch(4).images;
    const double stayed = (batch.images == original).to(torch::kFloat64).mean().item<double>();
    EXPECT_DOUBLE_EQ(batch.lambda, stayed) << step;
    EXPECT_TRUE(((batch.images == original).logical_or(batch.images == original.flip({0}))).all().item<bool>());
    EXPECT_TRUE(torch::equal(batch.partner_labels, torch::arange(4).flip({0})));
  }
}

TEST(Augment, ErasedPixelsAreZeroAndTheRestStays) {
  const torch::Tensor erased = Augmented({RandomErasing{.p = 1}}, Id(0)), original = RandomBatch().images;
  EXPECT_TRUE((erased == original).logical_or(erased == 0).all().item<bool>());
  const torch::Tensor share = (erased == 0).to(torch::kFloat64).mean({1, 2, 3});
  // On 64 pixels: the area lies in [0.02, 0.33] of them before both sides are rounded, each by at most a half.
  EXPECT_TRUE((share > 0).all().item<bool>());
  EXPECT_TRUE((share < 0.5).all().item<bool>());
}

TEST(Augment, RefusesOptionsThatMakeNoSense) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const auto message = [](const Augmentation& augmentation) {
    Batch batch = RandomBatch();
    return MessageOf<ConfigError>([&] { Augment(batch, {augmentation}, Id(0)); });
  };
  EXPECT_THAT(message(Flip{.p = 1.5}), HasSubstr("flip.p is 1.5; it must lie in [0, 1]"));
  EXPECT_THAT(message(Flip{.p = nan}), HasSubstr("flip.p is nan"));
  EXPECT_THAT(message(Crop{.pad = -1}), HasSubstr("crop.pad is -1"));
  EXPECT_THAT(message(Mixup{.alpha = -0.5}), HasSubstr("mixup.alpha is -0.5"));
  EXPECT_THAT(message(CutMix{.alpha = nan}), HasSubstr("cutmix.alpha is nan"));
  EXPECT_THAT(message(RandomErasing{.area_min = 0.5, .area_max = 0.4}), HasSubstr("area_min <= area_max"));
  EXPECT_THAT(message(RandomErasing{.aspect_min = 0}), HasSubstr("0 < aspect_min"));
}

const AugmentPool kPapa = {
    .mixup = {0, .5, 1}, .label_smoothing = {0, .05, .1}, .cutmix = {0, .5, 1}, .random_erasing = {0, .15, .35}};

auto Fields(const PoolDraw& draw) {
  return std::tuple(draw.mixup, draw.label_smoothing, draw.cutmix, draw.random_erasing);
}

TEST(DrawFromPool, GivesEachOf81MembersAnotherEntryOfThePapaPool) {
  std::set<std::tuple<double, double, double, double>> drawn, all;
  for (int64_t member = 0; member < 81; ++member) drawn.insert(Fields(DrawFromPool(kPapa, 9, member)));
  for (double mixup : kPapa.mixup) {
    for (double smoothing : kPapa.label_smoothing) {
      for (double cutmix : kPapa.cutmix) {
        for (double erasing : kPapa.random_erasing) all.insert({mixup, smoothing, cutmix, erasing});
      }
    }
  }
  EXPECT_EQ(all.size(), 81u);
  EXPECT_EQ(drawn, all);
  EXPECT_EQ(Fields(DrawFromPool(kPapa, 9, 81)), Fields(DrawFromPool(kPapa, 9, 0))) << "then from the start";
}

TEST(DrawFromPool, FollowsThePermutationOverTheProductInTheOrderOfTheFields) {
  const std::vector<int64_t> order = base::RandomPermutation(81, {.run_seed = 4, .purpose = base::Purpose::kAugmentPool});
  for (size_t member = 0; member < 81; ++member) {
    const size_t entry = static_cast<size_t>(order[member]);
    EXPECT_EQ(Fields(DrawFromPool(kPapa, 4, static_cast<int64_t>(member))),
              std::tuple(kPapa.mixup[entry / 27], kPapa.label_smoothing[entry / 9 % 3], kPapa.cutmix[entry / 3 % 3],
                         kPapa.random_erasing[entry % 3]));
  }
}

TEST(DrawFromPool, DependsOnTheSeed) {
  bool differs = false;
  for (int64_t member = 0; member < 10; ++member) {
    differs |= Fields(DrawFromPool(kPapa, 1, member)) != Fields(DrawFromPool(kPapa, 2, member));
  }
  EXPECT_TRUE(differs);
}

TEST(DrawFromPool, EmptyListsCountAsZero) {
  EXPECT_EQ(Fields(DrawFromPool({}, 1, 5)), std::tuple(0.0, 0.0, 0.0, 0.0));
  std::set<double> cutmix;
  for (int64_t member = 0; member < 2; ++member) {
    const PoolDraw draw = DrawFromPool({.cutmix = {.25, .75}}, 1, member);
    EXPECT_EQ(draw.mixup, 0);
    cutmix.insert(draw.cutmix);
  }
  EXPECT_EQ(cutmix, (std::set<double>{.25, .75}));
}

}  // namespace
}  // namespace basin::data
