#include "data/augment_apply.h"

#include <gtest/gtest.h>

#include "tests/support/tensors.h"

namespace basin::data {
namespace {

constexpr int64_t kCount = 5, kChannels = 3, kHeight = 6, kWidth = 7;

/// One step written for a single pixel: what stands at (i, c, y, x) afterwards.
struct Pixelwise {
  const torch::Tensor& images;
  int64_t i, c, y, x;

  float At(int64_t image, int64_t row, int64_t column) const {
    if (row < 0 || row >= kHeight || column < 0 || column >= kWidth) return 0;
    return images[image][c][row][column].item<float>();
  }
  static bool Inside(const Box& box, int64_t y, int64_t x) {
    return y >= box.top && y < box.top + box.height && x >= box.left && x < box.left + box.width;
  }
  size_t index() const { return static_cast<size_t>(i); }

  float operator()(const FlipImages& step) const { return At(i, y, step.chosen[index()] ? kWidth - 1 - x : x); }
  float operator()(const ShiftImages& step) const {
    return At(i, y + step.shifts[index()].down, x + step.shifts[index()].right);
  }
  float operator()(const EraseBoxes& step) const { return Inside(step.boxes[index()], y, x) ? 0 : At(i, y, x); }
  float operator()(const BlendReversed& step) const {
    return static_cast<float>(step.lambda) * At(i, y, x) +
           static_cast<float>(1 - step.lambda) * At(kCount - 1 - i, y, x);
  }
  float operator()(const PasteReversed& step) const { return At(Inside(step.box, y, x) ? kCount - 1 - i : i, y, x); }
};

torch::Tensor Reference(const torch::Tensor& images, const AugmentStep& step) {
  torch::Tensor result = torch::empty(images.sizes());
  for (int64_t i = 0; i < images.size(0); ++i) {
    for (int64_t c = 0; c < images.size(1); ++c) {
      for (int64_t y = 0; y < kHeight; ++y) {
        for (int64_t x = 0; x < kWidth; ++x) result[i][c][y][x] = std::visit(Pixelwise{images, i, c, y, x}, step);
      }
    }
  }
  return result;
}

struct Case {
  const char* name;
  AugmentStep step;
};

void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

class AugmentApply : public testing::TestWithParam<std::tuple<Case, at::MemoryFormat, int64_t>> {
 protected:
  const AugmentStep& step() const { return std::get<0>(GetParam()).step; }
  at::MemoryFormat format() const { return std::get<1>(GetParam()); }
  torch::Tensor images_ =
      tests::RandomTensor({kCount, std::get<2>(GetParam()), kHeight, kWidth}, 1).contiguous(format());
};

TEST_P(AugmentApply, InPlaceMatchesThePixelwiseRule) {
  const torch::Tensor expected = Reference(images_, step());
  torch::Tensor changed = images_.clone();
  const void* before = changed.data_ptr();
  ApplyInPlace(changed, step());
  EXPECT_TRUE(torch::equal(changed, expected));
  EXPECT_TRUE(changed.is_contiguous(format()));
  EXPECT_EQ(changed.data_ptr(), before);
}

TEST_P(AugmentApply, ByTensorsMatchesThePixelwiseRule) {
  const torch::Tensor original = images_.clone();
  const torch::Tensor changed = ApplyByTensors(images_, step());
  EXPECT_TRUE(torch::equal(changed, Reference(original, step())));
  EXPECT_TRUE(changed.is_contiguous(format()));
  EXPECT_TRUE(torch::equal(images_, original)) << "the result is a new tensor";
}

INSTANTIATE_TEST_SUITE_P(
    Steps, AugmentApply,
    testing::Combine(
        testing::Values(
            Case{"flip", FlipImages{{1, 0, 1, 1, 0}}},
            // Both signs, none, and shifts that leave one row, one column or nothing of the image.
            Case{"shift", ShiftImages{{{2, -3}, {-1, 2}, {0, 0}, {0, 1}, {-2, 0}}}},
            Case{"far shift", ShiftImages{{{5, 0}, {0, -6}, {6, 0}, {0, 7}, {-9, 12}}}},
            Case{"erase", EraseBoxes{{{0, 0, 6, 7}, {2, 3, 1, 1}, {}, {4, 5, 2, 2}, {1, 1, 3, 0}}}},
            Case{"blend", BlendReversed{0.3}}, Case{"blend nothing", BlendReversed{1}},
            Case{"blend all", BlendReversed{0}}, Case{"paste", PasteReversed{{1, 2, 3, 4}}},
            Case{"paste all", PasteReversed{{0, 0, 6, 7}}}, Case{"paste nothing", PasteReversed{{3, 3, 2, 0}}}),
        testing::Values(at::MemoryFormat::Contiguous, at::MemoryFormat::ChannelsLast), testing::Values(kChannels, 1)));

}  // namespace
}  // namespace basin::data
