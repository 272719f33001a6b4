#include "data/augment_apply.h"

#include <ATen/TensorIndexing.h>

#include <algorithm>
#include <cstring>

namespace basin::data {
namespace {

/// One image as planes of rows of pixels: contiguous images have C planes of 1 float a pixel, channels_last images one
/// plane of C floats a pixel. Every loop below works on both.
struct Canvas {
  float* data;
  int64_t planes, height, width, pixel;

  float* At(int64_t plane, int64_t y, int64_t x) const { return data + ((plane * height + y) * width + x) * pixel; }
  int64_t size() const { return planes * height * width * pixel; }
};

Canvas CanvasOf(torch::Tensor& images, int64_t i) {
  const int64_t channels = images.size(1);
  const bool planar = images.is_contiguous();
  Canvas canvas{.data = images.mutable_data_ptr<float>(), .planes = planar ? channels : 1, .height = images.size(2),
                .width = images.size(3), .pixel = planar ? 1 : channels};
  canvas.data += i * canvas.size();
  return canvas;
}

void Mirror(const Canvas& canvas) {
  for (int64_t plane = 0; plane < canvas.planes; ++plane) {
    for (int64_t y = 0; y < canvas.height; ++y) {
      for (int64_t left = 0, right = canvas.width - 1; left < right; ++left, --right) {
        std::swap_ranges(canvas.At(plane, y, left), canvas.At(plane, y, left + 1), canvas.At(plane, y, right));
      }
    }
  }
}

void ClearRow(const Canvas& canvas, int64_t plane, int64_t y, int64_t from, int64_t to) {
  if (from < to) std::fill(canvas.At(plane, y, from), canvas.At(plane, y, to), 0.0f);
}

void ShiftRow(const Canvas& canvas, int64_t plane, int64_t y, const Shift& shift) {
  const int64_t source = y + shift.down;
  const int64_t first = std::max<int64_t>(0, -shift.right), last = canvas.width - std::max<int64_t>(0, shift.right);
  if (source < 0 || source >= canvas.height || first >= last) return ClearRow(canvas, plane, y, 0, canvas.width);
  std::memmove(canvas.At(plane, y, first), canvas.At(plane, source, first + shift.right),
               static_cast<size_t>((last - first) * canvas.pixel) * sizeof(float));
  ClearRow(canvas, plane, y, 0, first);
  ClearRow(canvas, plane, y, last, canvas.width);
}

/// Rows are visited so that no row is overwritten before it was read.
void Move(const Canvas& canvas, const Shift& shift) {
  for (int64_t plane = 0; plane < canvas.planes; ++plane) {
    for (int64_t k = 0; k < canvas.height; ++k) {
      ShiftRow(canvas, plane, shift.down >= 0 ? k : canvas.height - 1 - k, shift);
    }
  }
}

void Clear(const Canvas& canvas, const Box& box) {
  for (int64_t plane = 0; plane < canvas.planes; ++plane) {
    for (int64_t y = box.top; y < box.top + box.height; ++y) ClearRow(canvas, plane, y, box.left, box.left + box.width);
  }
}

void SwapBox(const Canvas& a, const Canvas& b, const Box& box) {
  if (a.data == b.data || box.width == 0) return;
  for (int64_t plane = 0; plane < a.planes; ++plane) {
    for (int64_t y = box.top; y < box.top + box.height; ++y) {
      std::swap_ranges(a.At(plane, y, box.left), a.At(plane, y, box.left + box.width), b.At(plane, y, box.left));
    }
  }
}

void Blend(const Canvas& a, const Canvas& b, double lambda) {
  const auto own = static_cast<float>(lambda), other = static_cast<float>(1 - lambda);
  const int64_t size = a.size();
  for (int64_t k = 0; k < size; ++k) {
    const float x = a.data[k], y = b.data[k];
    a.data[k] = own * x + other * y;
    b.data[k] = own * y + other * x;
  }
}

struct InPlace {
  torch::Tensor& images;

  void operator()(const FlipImages& step) const {
    for (size_t i = 0; i < step.chosen.size(); ++i) {
      if (step.chosen[i]) Mirror(CanvasOf(images, static_cast<int64_t>(i)));
    }
  }
  void operator()(const ShiftImages& step) const {
    for (size_t i = 0; i < step.shifts.size(); ++i) Move(CanvasOf(images, static_cast<int64_t>(i)), step.shifts[i]);
  }
  void operator()(const EraseBoxes& step) const {
    for (size_t i = 0; i < step.boxes.size(); ++i) Clear(CanvasOf(images, static_cast<int64_t>(i)), step.boxes[i]);
  }
  void operator()(const BlendReversed& step) const {
    ForEachPair([&](const Canvas& a, const Canvas& b) { Blend(a, b, step.lambda); });
  }
  void operator()(const PasteReversed& step) const {
    ForEachPair([&](const Canvas& a, const Canvas& b) { SwapBox(a, b, step.box); });
  }

 private:
  /// Partners in the reversed batch; the middle image of an odd batch is its own partner.
  template <typename Visit>
  void ForEachPair(Visit visit) const {
    const int64_t count = images.size(0);
    for (int64_t i = 0; 2 * i < count; ++i) visit(CanvasOf(images, i), CanvasOf(images, count - 1 - i));
  }
};

/// int64 [n, 1, 1, 1] on the device of `like`.
template <typename T, typename Get>
torch::Tensor PerImage(const std::vector<T>& values, const torch::Tensor& like, Get get) {
  std::vector<int64_t> numbers;
  for (const T& value : values) numbers.push_back(get(value));
  return torch::tensor(numbers, torch::kInt64).view({-1, 1, 1, 1}).to(like.device());
}

struct ByTensors {
  const torch::Tensor& images;

  torch::Tensor operator()(const FlipImages& step) const {
    const torch::Tensor chosen = PerImage(step.chosen, images, [](uint8_t flag) { return int64_t{flag}; });
    return torch::where(chosen.to(torch::kBool), images.flip({3}), images);
  }
  torch::Tensor operator()(const ShiftImages& step) const {
    const int64_t height = images.size(2), width = images.size(3);
    const torch::Tensor y = Rows() + PerImage(step.shifts, images, [](const Shift& shift) { return shift.down; });
    const torch::Tensor x = Columns() + PerImage(step.shifts, images, [](const Shift& shift) { return shift.right; });
    const torch::Tensor outside = (y < 0).logical_or(y >= height).logical_or((x < 0).logical_or(x >= width));
    const torch::Tensor image = torch::arange(images.size(0), y.options()).view({-1, 1, 1});
    // [b, H, W, C] indexed by three tensors that broadcast to [b, H, W].
    const torch::Tensor moved = images.permute({0, 2, 3, 1}).index(
        {image, y.clamp(0, height - 1).squeeze(1), x.clamp(0, width - 1).squeeze(1)});
    return moved.permute({0, 3, 1, 2}).masked_fill(outside, 0);
  }
  torch::Tensor operator()(const EraseBoxes& step) const {
    const auto edge = [&](auto get) { return PerImage(step.boxes, images, get); };
    const torch::Tensor y = Rows(), x = Columns();
    const torch::Tensor in_rows = (y >= edge([](const Box& b) { return b.top; }))
                                      .logical_and(y < edge([](const Box& b) { return b.top + b.height; }));
    const torch::Tensor in_columns = (x >= edge([](const Box& b) { return b.left; }))
                                         .logical_and(x < edge([](const Box& b) { return b.left + b.width; }));
    return images.masked_fill(in_rows.logical_and(in_columns), 0);
  }
  torch::Tensor operator()(const BlendReversed& step) const {
    return images.mul(step.lambda).add_(images.flip({0}).mul_(1 - step.lambda));
  }
  torch::Tensor operator()(const PasteReversed& step) const {
    const auto cut = [&step](const torch::Tensor& x) {
      return x.narrow(2, step.box.top, step.box.height).narrow(3, step.box.left, step.box.width);
    };
    torch::Tensor result = images.clone();
    cut(result).copy_(cut(images.flip({0})));
    return result;
  }

 private:
  torch::Tensor Rows() const { return Positions(images.size(2)).view({1, 1, -1, 1}); }
  torch::Tensor Columns() const { return Positions(images.size(3)).view({1, 1, 1, -1}); }
  torch::Tensor Positions(int64_t count) const {
    return torch::arange(count, torch::TensorOptions(torch::kInt64).device(images.device()));
  }
};

}  // namespace

void ApplyInPlace(torch::Tensor& images, const AugmentStep& step) { std::visit(InPlace{images}, step); }

torch::Tensor ApplyByTensors(const torch::Tensor& images, const AugmentStep& step) {
  return std::visit(ByTensors{images}, step).contiguous(images.suggest_memory_format());
}

}  // namespace basin::data
