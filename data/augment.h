// Augmentation as a pure function of (batch, seed): no state, no global generator.
#pragma once

#include <torch/types.h>

#include <string>
#include <variant>
#include <vector>

#include "base/seed.h"

namespace basin::data {

struct Flip { double p = 0.5; };                       ///< horizontal, each image with probability p
struct Crop { int64_t pad = 4; };                      ///< zero padding after normalisation, random crop to the old size
/// Constant 0 rectangle; area share in [area_min, area_max], aspect log-uniform in [aspect_min, aspect_max]; at most 10
/// attempts to fit, as torchvision's RandomErasing.
struct RandomErasing {
  double p = 0.15, area_min = 0.02, area_max = 0.33, aspect_min = 0.3, aspect_max = 3.3;
};
struct Mixup { double alpha = 0.5; };                  ///< arXiv 1710.09412; partner: the batch reversed
struct CutMix { double alpha = 0.5; };                 ///< arXiv 1905.04899; lambda corrected to the true box area
using Augmentation = std::variant<Flip, Crop, RandomErasing, Mixup, CutMix>;

/// Applied in this order: flip, crop, random_erasing in the order given; then mixup or cutmix (with both, one of them by
/// a fair coin for each batch). alpha = 0, p = 0 or pad = 0: as if absent, no random number is drawn for it.
using Augmentations = std::vector<Augmentation>;

/// ConfigError for a probability outside [0, 1], a negative pad or alpha, or an empty or impossible range.
void CheckAugmentations(const Augmentations& augmentations);

/// What the loss needs: loss = lambda CE(logits, labels) + (1 - lambda) CE(logits, partner_labels).
struct Batch {
  torch::Tensor images;          ///< float32 [b, C, H, W]
  torch::Tensor labels;          ///< int64 [b]
  torch::Tensor partner_labels;  ///< int64 [b]; undefined when nothing was mixed (lambda = 1)
  double lambda = 1;
};

/// Changes batch.images in place or replaces them; their memory format stays. `stream` names (run seed, kAugment, step,
/// member). Images on the CPU or a GPU; random numbers are drawn on the CPU, so both give the same picture. The order of
/// the draws is part of the reproducibility contract: see data/augment_plan.h.
void Augment(Batch& batch, const Augmentations& augmentations, const base::StreamId& stream);

/// The PAPA pool: one draw for each member. Empty lists count as {0}.
struct AugmentPool {
  std::vector<double> mixup, label_smoothing, cutmix, random_erasing;
};
struct PoolDraw {
  double mixup = 0, label_smoothing = 0, cutmix = 0, random_erasing = 0;
};
/// Cartesian product in the order of the fields, shuffled with the run seed (kAugmentPool), member m gets entry m mod size.
PoolDraw DrawFromPool(const AugmentPool& pool, uint64_t run_seed, int64_t member);

}  // namespace basin::data
