#include "data/dataset.h"

#include <algorithm>
#include <cmath>
#include <span>

#include "base/error.h"
#include "base/seed.h"

namespace basin::data {
namespace {

struct Moments {
  double mean, std;
};

Moments MeasureBytes(const std::vector<int64_t>& histogram, double count) {
  double sum = 0, squares = 0;
  int64_t values = 0;
  for (int x = 0; x < 256; ++x) {
    sum += static_cast<double>(histogram[x]) * x;  // integers below 2^53: exact
    values += histogram[x] > 0;
  }
  const double mean = sum / 255 / count;
  for (int x = 0; x < 256; ++x) {
    squares += static_cast<double>(histogram[x]) * (x / 255.0 - mean) * (x / 255.0 - mean);
  }
  return {mean, values == 1 ? 1.0 : std::sqrt(squares / count)};
}

/// Calls visit(pixels of one image's channel c) for every image.
template <typename Pixel, typename Visit>
void ForEachPlane(const torch::Tensor& images, int64_t c, Visit visit) {
  const int64_t area = images.size(2) * images.size(3), channels = images.size(1);
  const Pixel* pixels = images.const_data_ptr<Pixel>();
  for (int64_t i = 0; i < images.size(0); ++i) {
    visit(std::span(pixels + (i * channels + c) * area, static_cast<size_t>(area)));
  }
}

/// Two passes: the textbook formula with the difference of squares would cancel.
Moments MeasureFloats(const torch::Tensor& images, int64_t c, double count) {
  const float first = images.const_data_ptr<float>()[c * images.size(2) * images.size(3)];
  bool constant = true;
  double sum = 0, squares = 0;
  ForEachPlane<float>(images, c, [&](std::span<const float> plane) {
    for (float x : plane) {
      sum += x;
      constant &= x == first;
    }
  });
  const double mean = sum / count;
  ForEachPlane<float>(images, c, [&](std::span<const float> plane) {
    for (float x : plane) squares += (x - mean) * (x - mean);
  });
  return {mean, constant ? 1.0 : std::sqrt(squares / count)};
}

Split Select(const Split& split, std::vector<int64_t> indices) {
  std::sort(indices.begin(), indices.end());
  const torch::Tensor chosen = torch::tensor(indices, torch::kInt64);
  return {.images = split.images.index_select(0, chosen), .labels = split.labels.index_select(0, chosen)};
}

void CheckShapes(const Split& split, const std::string& where) {
  const torch::Tensor& images = split.images;
  const torch::Tensor& labels = split.labels;
  if (!images.defined() || !labels.defined()) throw DataError(Text(where, ": images or labels are missing"));
  if (images.scalar_type() != torch::kUInt8 && images.scalar_type() != torch::kFloat32) {
    throw DataError(Text(where, ": images have dtype ", images.scalar_type(), "; allowed: uint8, float32"));
  }
  if (labels.scalar_type() != torch::kInt64) {
    throw DataError(Text(where, ": labels have dtype ", labels.scalar_type(), "; it must be int64"));
  }
  if (images.dim() != 4 || images.numel() == 0) {
    throw DataError(Text(where, ": images have shape ", images.sizes(),
                         "; it must be [n, channels, height, width] with nothing 0"));
  }
  if (labels.dim() != 1 || labels.size(0) != images.size(0)) {
    throw DataError(Text(where, ": labels have shape ", labels.sizes(), " for ", images.size(0),
                         " images; there must be one label for each image"));
  }
}

}  // namespace

Normalisation MeasureNormalisation(const Split& split) {
  const torch::Tensor images = split.images.contiguous();
  const double count = static_cast<double>(images.size(0) * images.size(2) * images.size(3));
  Normalisation result;
  for (int64_t c = 0; c < images.size(1); ++c) {
    Moments moments{};
    if (images.scalar_type() == torch::kUInt8) {
      std::vector<int64_t> histogram(256);
      ForEachPlane<uint8_t>(images, c, [&](std::span<const uint8_t> plane) {
        for (uint8_t x : plane) ++histogram[x];
      });
      moments = MeasureBytes(histogram, count);
    } else {
      moments = MeasureFloats(images, c, count);
    }
    result.mean.push_back(moments.mean);
    result.std.push_back(moments.std);
  }
  return result;
}

int64_t HeldOut(int64_t total, double share) {
  if (!(share >= 0 && share < 1)) {
    throw ConfigError(Text("data.validation is ", share, "; it must lie in [0, 1), 0 holds nothing out"));
  }
  const int64_t held_out = std::llround(share * static_cast<double>(total));
  if (held_out == total) {
    throw ConfigError(Text("data.validation is ", share, ", which holds out all ", total,
                           " training examples; use a smaller share or a larger data.train_limit"));
  }
  return held_out;
}

void SplitValidation(Dataset& dataset, double share, uint64_t seed) {
  BASIN_CHECK(dataset.validation.size() == 0, dataset.validation.size(), " validation examples already");
  const int64_t total = dataset.train.size(), held_out = HeldOut(total, share);
  if (held_out == 0) return;
  const std::vector<int64_t> order =
      base::RandomPermutation(total, {.run_seed = seed, .purpose = base::Purpose::kValidationSplit});
  dataset.validation = Select(dataset.train, {order.begin(), order.begin() + held_out});
  dataset.train = Select(dataset.train, {order.begin() + held_out, order.end()});
}

void ValidateSplit(const Split& split, int64_t classes, const std::string& where) {
  CheckShapes(split, where);
  const torch::Tensor labels = split.labels.contiguous();
  const int64_t* label = labels.const_data_ptr<int64_t>();
  for (int64_t i = 0; i < labels.size(0); ++i) {
    if (label[i] < 0 || label[i] >= classes) {
      throw DataError(Text(where, ": label ", i, " is ", label[i], "; it must lie in [0, ", classes,
                           "). The file is damaged or of another data set"));
    }
  }
  if (split.images.scalar_type() != torch::kFloat32) return;
  const torch::Tensor images = split.images.contiguous();
  const float* pixel = images.const_data_ptr<float>();
  const int64_t per_image = images.numel() / images.size(0);
  for (int64_t i = 0; i < images.numel(); ++i) {
    if (!std::isfinite(pixel[i])) {
      throw DataError(Text(where, ": image ", i / per_image, " holds the pixel ", pixel[i], " at position ",
                           i % per_image, " of its ", per_image,
                           "; pixels must be finite. Remove the image or write the file again"));
    }
  }
}

}  // namespace basin::data
