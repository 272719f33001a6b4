#include "data/augment_plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "tests/support/statistics.h"

namespace basin::data {
namespace {

constexpr BatchExtent kBatch{.images = 2000, .height = 32, .width = 24};

base::StreamId Id(uint64_t step, uint64_t member = 0) {
  return {.run_seed = 11, .purpose = base::Purpose::kAugment, .a = step, .b = member};
}

template <typename Step>
Step OnlyStep(const Augmentations& augmentations, const BatchExtent& extent, const base::StreamId& id) {
  const AugmentPlan plan = DrawPlan(augmentations, extent, id);
  EXPECT_EQ(plan.steps.size(), 1u);
  return std::get<Step>(plan.steps.at(0));
}

TEST(AugmentPlan, FlipsTheShareOfImagesThatWasAskedFor) {
  for (double p : {0.5, 0.1, 1.0}) {
    double flipped = 0;
    for (uint8_t one : OnlyStep<FlipImages>({Flip{.p = p}}, kBatch, Id(0)).chosen) flipped += one;
    // 5 standard deviations: wrong once in two million seeds.
    EXPECT_NEAR(flipped, 2000 * p, 5 * test::BinomialSpread(2000, p)) << p;
  }
}

TEST(AugmentPlan, ShiftsAreUniformOverAllOffsets) {
  std::vector<double> counts(25);
  for (uint64_t step = 0; step < 5; ++step) {
    for (const Shift& shift : OnlyStep<ShiftImages>({Crop{.pad = 2}}, kBatch, Id(step)).shifts) {
      ASSERT_LE(std::abs(shift.down), 2);
      ASSERT_LE(std::abs(shift.right), 2);
      ++counts[static_cast<size_t>(5 * (shift.down + 2) + shift.right + 2)];
    }
  }
  EXPECT_LT(test::ChiSquareUniform(counts), test::ChiSquareLimit(24));
}

/// torchvision.transforms.RandomErasing.get_params, written after its Python text on the draws that the header documents.
Box TorchvisionErasing(const RandomErasing& options, int64_t img_h, int64_t img_w, base::Stream& stream) {
  if (!(stream.NextDouble() < options.p)) return {};
  const double area = static_cast<double>(img_h * img_w);
  for (int i = 0; i < 10; ++i) {
    const double erase_area = area * (options.area_min + (options.area_max - options.area_min) * stream.NextDouble());
    const double low = std::log(options.aspect_min), high = std::log(options.aspect_max);
    const double aspect_ratio = std::exp(low + (high - low) * stream.NextDouble());
    const long h = std::lrint(std::sqrt(erase_area * aspect_ratio)), w = std::lrint(std::sqrt(erase_area / aspect_ratio));
    if (!(h < img_h && w < img_w)) continue;
    const int64_t top = stream.NextBelow(static_cast<uint32_t>(img_h - h + 1));
    const int64_t left = stream.NextBelow(static_cast<uint32_t>(img_w - w + 1));
    return {.top = top, .left = left, .height = h, .width = w};
  }
  return {};
}

TEST(AugmentPlan, ErasingFollowsTorchvisionsAlgorithm) {
  // Wide aspects make many rectangles too long for the image, so that attempts are repeated and run out.
  const RandomErasing options{.p = 0.7, .area_min = 0.1, .area_max = 0.9, .aspect_min = 0.05, .aspect_max = 20};
  const EraseBoxes drawn = OnlyStep<EraseBoxes>({options}, kBatch, Id(3));
  base::Stream stream(Id(3));
  for (const Box& box : drawn.boxes) {
    const Box expected = TorchvisionErasing(options, kBatch.height, kBatch.width, stream);
    ASSERT_EQ(box.top, expected.top);
    ASSERT_EQ(box.left, expected.left);
    ASSERT_EQ(box.height, expected.height);
    ASSERT_EQ(box.width, expected.width);
  }
}

TEST(AugmentPlan, ErasedBoxesLieInTheImageAndHaveTheAreaAskedFor) {
  const RandomErasing options{.p = 0.35};
  double hits = 0;
  for (const Box& box : OnlyStep<EraseBoxes>({options}, kBatch, Id(4)).boxes) {
    ASSERT_GE(box.top, 0);
    ASSERT_GE(box.left, 0);
    ASSERT_LE(box.top + box.height, kBatch.height);
    ASSERT_LE(box.left + box.width, kBatch.width);
    if (box.height == 0) continue;
    ++hits;
    // Rounding each side by up to a half changes the area by at most (h + w + 1) / 2.
    const double rounding = static_cast<double>(box.height + box.width + 1) / 2;
    EXPECT_GE(static_cast<double>(box.height * box.width), 0.02 * 768 - rounding);
    EXPECT_LE(static_cast<double>(box.height * box.width), 0.33 * 768 + rounding);
  }
  // Ten attempts fail with negligible probability here; 5 standard deviations.
  EXPECT_NEAR(hits, 2000 * 0.35, 5 * test::BinomialSpread(2000, 0.35));
}

TEST(AugmentPlan, ErasedBoxesLieInTheImageAtAnyAspect) {
  for (const auto& [low, high] : {std::pair{1e300, 1e305}, std::pair{1e-305, 1e-300}}) {
    const RandomErasing options{.p = 1, .aspect_min = low, .aspect_max = high};
    for (const Box& box : OnlyStep<EraseBoxes>({options}, kBatch, Id(5)).boxes) {
      ASSERT_EQ(box.height, 0);
      ASSERT_EQ(box.width, 0);
    }
  }
}

TEST(AugmentPlan, MixupDrawsLambdaFromTheSymmetricBeta) {
  const double alpha = 0.5;
  const int draws = 4000;
  double sum = 0, squares = 0;
  for (uint64_t step = 0; step < draws; ++step) {
    const AugmentPlan plan = DrawPlan({Mixup{.alpha = alpha}}, {.images = 2, .height = 4, .width = 4}, Id(step));
    ASSERT_TRUE(plan.mixed);
    ASSERT_EQ(std::get<BlendReversed>(plan.steps.at(0)).lambda, plan.lambda);
    ASSERT_GE(plan.lambda, 0);
    ASSERT_LE(plan.lambda, 1);
    sum += plan.lambda;
    squares += (plan.lambda - 0.5) * (plan.lambda - 0.5);
  }
  // Beta(a, a): mean 1/2, variance 1 / (4 (2a + 1)) = 1/8; for a = 1/2 the squared distance from 1/2 has variance 1/128.
  EXPECT_NEAR(sum / draws, 0.5, 5 * std::sqrt(1.0 / 8 / draws)) << "5 standard deviations";
  EXPECT_NEAR(squares / draws, 1 / (4 * (2 * alpha + 1)), 5 * std::sqrt(1.0 / 128 / draws)) << "5 standard deviations";
}

TEST(AugmentPlan, CutMixFollowsThePapersCode) {
  for (uint64_t step = 0; step < 500; ++step) {
    const AugmentPlan plan = DrawPlan({CutMix{.alpha = 1}}, kBatch, Id(step));
    const Box box = std::get<PasteReversed>(plan.steps.at(0)).box;
    // rand_bbox of the paper's repository, on the same draws.
    base::Stream stream(Id(step));
    const double lam = stream.NextBeta(1, 1);
    const double cut_rat = std::sqrt(1. - lam);
    const int cut_w = static_cast<int>(24 * cut_rat), cut_h = static_cast<int>(32 * cut_rat);
    const int cx = static_cast<int>(stream.NextBelow(24)), cy = static_cast<int>(stream.NextBelow(32));
    const int bbx1 = std::clamp(cx - cut_w / 2, 0, 24), bby1 = std::clamp(cy - cut_h / 2, 0, 32);
    const int bbx2 = std::clamp(cx + cut_w / 2, 0, 24), bby2 = std::clamp(cy + cut_h / 2, 0, 32);
    ASSERT_EQ(box.left, bbx1);
    ASSERT_EQ(box.top, bby1);
    ASSERT_EQ(box.left + box.width, bbx2);
    ASSERT_EQ(box.top + box.height, bby2);
    ASSERT_DOUBLE_EQ(plan.lambda, 1 - (bbx2 - bbx1) * (bby2 - bby1) / 768.0) << "corrected to the clipped box";
  }
}

TEST(AugmentPlan, WithBothMixersAFairCoinChooses) {
  const int draws = 2000;
  double blends = 0;
  for (uint64_t step = 0; step < draws; ++step) {
    const AugmentPlan plan = DrawPlan({Mixup{}, CutMix{}}, {.images = 2, .height = 4, .width = 4}, Id(step));
    ASSERT_EQ(plan.steps.size(), 1u);
    blends += std::holds_alternative<BlendReversed>(plan.steps[0]);
  }
  EXPECT_NEAR(blends, draws / 2.0, 5 * test::BinomialSpread(draws, 0.5)) << "5 standard deviations";
}

TEST(AugmentPlan, WhatIsSwitchedOffDrawsNothing) {
  EXPECT_TRUE(DrawPlan({Flip{.p = 0}, Crop{.pad = 0}, RandomErasing{.p = 0}, Mixup{.alpha = 0}, CutMix{.alpha = 0}},
                       kBatch, Id(0)).steps.empty());
  const AugmentPlan all = DrawPlan({CutMix{.alpha = 0}, Crop{.pad = 0}, Flip{}, Mixup{}}, kBatch, Id(0));
  const AugmentPlan few = DrawPlan({Flip{}, Mixup{}}, kBatch, Id(0));
  ASSERT_EQ(all.steps.size(), 2u);
  EXPECT_EQ(std::get<FlipImages>(all.steps[0]).chosen, std::get<FlipImages>(few.steps[0]).chosen);
  EXPECT_EQ(all.lambda, few.lambda);
}

TEST(AugmentPlan, KeepsTheOrderOfTheListAndMixesLast) {
  const AugmentPlan plan = DrawPlan({Mixup{}, Crop{}, Flip{}, RandomErasing{}}, kBatch, Id(0));
  ASSERT_EQ(plan.steps.size(), 4u);
  EXPECT_TRUE(std::holds_alternative<ShiftImages>(plan.steps[0]));
  EXPECT_TRUE(std::holds_alternative<FlipImages>(plan.steps[1]));
  EXPECT_TRUE(std::holds_alternative<EraseBoxes>(plan.steps[2]));
  EXPECT_TRUE(std::holds_alternative<BlendReversed>(plan.steps[3]));
}

TEST(AugmentPlan, DiffersBetweenStepsAndMembers) {
  const auto flips = [](uint64_t step, uint64_t member) {
    return OnlyStep<FlipImages>({Flip{}}, kBatch, Id(step, member)).chosen;
  };
  EXPECT_EQ(flips(5, 1), flips(5, 1));
  EXPECT_NE(flips(5, 1), flips(6, 1));
  EXPECT_NE(flips(5, 1), flips(5, 2));
}

}  // namespace
}  // namespace basin::data
