#include "data/augment.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "data/augment_apply.h"
#include "data/augment_plan.h"

namespace basin::data {
namespace {

constexpr int64_t kMaxPad = 1 << 20;  // 2 pad + 1 is a 32-bit bound

void CheckProbability(const char* key, double p) {
  if (!(p >= 0 && p <= 1)) throw ConfigError(Text(key, " is ", p, "; it must lie in [0, 1]"));
}

void CheckAlpha(const char* key, double alpha) {
  if (!(alpha >= 0 && std::isfinite(alpha))) {
    throw ConfigError(Text(key, " is ", alpha, "; it must be finite and at least 0 (0 switches it off)"));
  }
}

struct Check {
  void operator()(const Flip& flip) const { CheckProbability("flip.p", flip.p); }
  void operator()(const Crop& crop) const {
    if (crop.pad < 0 || crop.pad > kMaxPad) {
      throw ConfigError(Text("crop.pad is ", crop.pad, "; it must lie in [0, ", kMaxPad, "]"));
    }
  }
  void operator()(const RandomErasing& e) const {
    CheckProbability("random_erasing.p", e.p);
    if (!(e.area_min >= 0 && e.area_min <= e.area_max && e.area_max <= 1)) {
      throw ConfigError(Text("random_erasing.area_min, area_max are ", e.area_min, ", ", e.area_max,
                             "; they must satisfy 0 <= area_min <= area_max <= 1"));
    }
    if (!(e.aspect_min > 0 && e.aspect_min <= e.aspect_max && std::isfinite(e.aspect_max))) {
      throw ConfigError(Text("random_erasing.aspect_min, aspect_max are ", e.aspect_min, ", ", e.aspect_max,
                             "; they must satisfy 0 < aspect_min <= aspect_max"));
    }
  }
  void operator()(const Mixup& mixup) const { CheckAlpha("mixup.alpha", mixup.alpha); }
  void operator()(const CutMix& cutmix) const { CheckAlpha("cutmix.alpha", cutmix.alpha); }
};

}  // namespace

void CheckAugmentations(const Augmentations& augmentations) {
  for (const Augmentation& augmentation : augmentations) std::visit(Check{}, augmentation);
}

void Augment(Batch& batch, const Augmentations& augmentations, const base::StreamId& stream) {
  torch::Tensor& images = batch.images;
  BASIN_CHECK(images.dim() == 4 && images.scalar_type() == torch::kFloat32 && images.numel() > 0,
              images.toString(), " ", images.sizes());
  CheckAugmentations(augmentations);
  const AugmentPlan plan = DrawPlan(
      augmentations, {.images = images.size(0), .height = images.size(2), .width = images.size(3)}, stream);
  const bool dense = images.is_contiguous() || images.is_contiguous(at::MemoryFormat::ChannelsLast);
  if (!dense) images = images.contiguous();
  for (const AugmentStep& step : plan.steps) {
    if (images.is_cpu()) {
      ApplyInPlace(images, step);
    } else {
      images = ApplyByTensors(images, step);
    }
  }
  if (plan.mixed) {
    batch.partner_labels = batch.labels.flip({0});
    batch.lambda = plan.lambda;
  }
}

PoolDraw DrawFromPool(const AugmentPool& pool, uint64_t run_seed, int64_t member) {
  BASIN_CHECK(member >= 0, "member ", member);
  constexpr size_t kFields = 4;
  const std::vector<double>* const fields[kFields] = {&pool.mixup, &pool.label_smoothing, &pool.cutmix,
                                                      &pool.random_erasing};
  int64_t size = 1;
  for (const auto* field : fields) size *= std::max<int64_t>(1, static_cast<int64_t>(field->size()));
  const std::vector<int64_t> order =
      base::RandomPermutation(size, {.run_seed = run_seed, .purpose = base::Purpose::kAugmentPool});
  int64_t entry = order[static_cast<size_t>(member % size)];
  double values[kFields] = {};
  // The last field changes fastest.
  for (size_t f = kFields; f-- > 0;) {
    if (fields[f]->empty()) continue;
    const auto count = static_cast<int64_t>(fields[f]->size());
    values[f] = (*fields[f])[static_cast<size_t>(entry % count)];
    entry /= count;
  }
  return {.mixup = values[0], .label_smoothing = values[1], .cutmix = values[2], .random_erasing = values[3]};
}

}  // namespace basin::data
