#include "data/augment_plan.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace basin::data {
namespace {

/// torchvision's RandomErasing tries this often to fit a rectangle, then leaves the image alone.
constexpr int kErasingAttempts = 10;

int64_t Below(base::Stream& stream, int64_t bound) { return stream.NextBelow(static_cast<uint32_t>(bound)); }

double Between(base::Stream& stream, double low, double high) { return low + (high - low) * stream.NextDouble(); }

/// The sides are rounded half to even, as Python's round does.
Box DrawErasedBox(const RandomErasing& options, const BatchExtent& extent, base::Stream& stream) {
  if (!stream.NextBernoulli(options.p)) return {};
  const double image_area = static_cast<double>(extent.height * extent.width);
  for (int attempt = 0; attempt < kErasingAttempts; ++attempt) {
    const double area = image_area * Between(stream, options.area_min, options.area_max);
    const double aspect = std::exp(Between(stream, std::log(options.aspect_min), std::log(options.aspect_max)));
    const double rows = std::nearbyint(std::sqrt(area * aspect)), columns = std::nearbyint(std::sqrt(area / aspect));
    // Compared as they are: an extreme aspect is beyond whole numbers.
    if (!(rows < static_cast<double>(extent.height) && columns < static_cast<double>(extent.width))) continue;
    const auto height = static_cast<int64_t>(rows), width = static_cast<int64_t>(columns);
    const int64_t top = Below(stream, extent.height - height + 1);
    const int64_t left = Below(stream, extent.width - width + 1);
    return {.top = top, .left = left, .height = height, .width = width};
  }
  return {};
}

/// The box of the paper's own code: sides cut by sqrt(1 - lambda), centre uniform, clipped to the image.
Box DrawPastedBox(double lambda, const BatchExtent& extent, base::Stream& stream) {
  const double cut = std::sqrt(1 - lambda);
  const auto half_width = static_cast<int64_t>(static_cast<double>(extent.width) * cut) / 2;
  const auto half_height = static_cast<int64_t>(static_cast<double>(extent.height) * cut) / 2;
  const int64_t x = Below(stream, extent.width), y = Below(stream, extent.height);
  const int64_t left = std::max<int64_t>(x - half_width, 0), top = std::max<int64_t>(y - half_height, 0);
  const int64_t right = std::min(x + half_width, extent.width), bottom = std::min(y + half_height, extent.height);
  return {.top = top, .left = left, .height = bottom - top, .width = right - left};
}

template <typename T, typename Draw>
std::vector<T> ForEachImage(const BatchExtent& extent, Draw draw) {
  std::vector<T> drawn(static_cast<size_t>(extent.images));
  for (T& one : drawn) one = draw();
  return drawn;
}

/// Draws what one entry of the list needs and appends it to the plan.
class Planner {
 public:
  Planner(const BatchExtent& extent, const base::StreamId& id, AugmentPlan& plan)
      : extent_(extent), stream_(id), plan_(plan) {}

  void operator()(const Flip& flip) {
    if (flip.p == 0) return;
    plan_.steps.emplace_back(
        FlipImages{ForEachImage<uint8_t>(extent_, [&] { return uint8_t{stream_.NextBernoulli(flip.p)}; })});
  }
  void operator()(const Crop& crop) {
    if (crop.pad == 0) return;
    plan_.steps.emplace_back(ShiftImages{ForEachImage<Shift>(extent_, [&] {
      const int64_t down = Below(stream_, 2 * crop.pad + 1) - crop.pad;
      const int64_t right = Below(stream_, 2 * crop.pad + 1) - crop.pad;
      return Shift{.down = down, .right = right};
    })});
  }
  void operator()(const RandomErasing& erasing) {
    if (erasing.p == 0) return;
    plan_.steps.emplace_back(
        EraseBoxes{ForEachImage<Box>(extent_, [&] { return DrawErasedBox(erasing, extent_, stream_); })});
  }
  void operator()(const Mixup& mixup) { mixers_.push_back({mixup.alpha, /*blends=*/true}); }
  void operator()(const CutMix& cutmix) { mixers_.push_back({cutmix.alpha, /*blends=*/false}); }

  /// Mixing comes last, wherever it stands in the list.
  void DrawMixing() {
    std::erase_if(mixers_, [](const Mixer& mixer) { return mixer.alpha == 0; });
    if (mixers_.empty()) return;
    const auto count = static_cast<int64_t>(mixers_.size());
    const Mixer& mixer = mixers_[count == 1 ? 0 : static_cast<size_t>(Below(stream_, count))];
    plan_.mixed = true;
    plan_.lambda = stream_.NextBeta(mixer.alpha, mixer.alpha);
    if (mixer.blends) {
      plan_.steps.emplace_back(BlendReversed{plan_.lambda});
      return;
    }
    const Box box = DrawPastedBox(plan_.lambda, extent_, stream_);
    const int64_t area = extent_.height * extent_.width;
    plan_.lambda = 1 - static_cast<double>(box.height * box.width) / static_cast<double>(area);
    plan_.steps.emplace_back(PasteReversed{box});
  }

 private:
  struct Mixer {
    double alpha;
    bool blends;
  };
  const BatchExtent& extent_;
  base::Stream stream_;
  AugmentPlan& plan_;
  std::vector<Mixer> mixers_;
};

}  // namespace

AugmentPlan DrawPlan(const Augmentations& augmentations, const BatchExtent& extent, const base::StreamId& stream) {
  AugmentPlan plan;
  Planner planner(extent, stream, plan);
  for (const Augmentation& augmentation : augmentations) std::visit(planner, augmentation);
  planner.DrawMixing();
  return plan;
}

}  // namespace basin::data
