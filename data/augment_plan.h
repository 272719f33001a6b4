// The random half of augmentation: which image is flipped, shifted, erased or mixed, and how. No pixel is touched here.
#pragma once

#include <cstdint>
#include <variant>
#include <vector>

#include "base/seed.h"
#include "data/augment.h"

namespace basin::data {

/// A rectangle of pixels; empty when height or width is 0.
struct Box {
  int64_t top = 0, left = 0, height = 0, width = 0;
};
/// new(y, x) = old(y + down, x + right), 0 outside the old image.
struct Shift {
  int64_t down = 0, right = 0;
};

struct FlipImages { std::vector<uint8_t> chosen; };  ///< for each image: 1 mirrors it left to right
struct ShiftImages { std::vector<Shift> shifts; };   ///< one for each image
struct EraseBoxes { std::vector<Box> boxes; };       ///< one for each image
struct BlendReversed { double lambda = 1; };         ///< x <- lambda x + (1 - lambda) reversed batch
struct PasteReversed { Box box; };                   ///< this box from the reversed batch
using AugmentStep = std::variant<FlipImages, ShiftImages, EraseBoxes, BlendReversed, PasteReversed>;

struct AugmentPlan {
  std::vector<AugmentStep> steps;
  bool mixed = false;
  double lambda = 1;  ///< share of the images' own label
};

struct BatchExtent {
  int64_t images = 0, height = 0, width = 0;
};

/// Draws from one stream, in this order. For each of flip, crop, random_erasing in the order given, for each image in
/// turn: flip one double; crop down, then right (below 2 pad + 1 each); random_erasing one double, then when it hits, for
/// each attempt area, aspect and, when they fit, top and left. Then, when there are k > 1 of mixup and cutmix, one number
/// below k chooses; mixup one Beta(alpha, alpha); cutmix the same, then the column and the row of the box's centre.
AugmentPlan DrawPlan(const Augmentations& augmentations, const BatchExtent& extent, const base::StreamId& stream);

}  // namespace basin::data
