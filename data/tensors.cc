#include "data/tensors.h"

#include <charconv>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "base/safetensors.h"
#include "data/find_file.h"

namespace basin::data {
namespace {

using base::DType;
using base::SafetensorsReader;
using base::TensorView;

std::string Where(const SafetensorsReader& file, const std::string& tensor) {
  return Text(file.path().string(), ": tensor '", tensor, "'");
}

/// A copy: the bytes of the mapped file need not be aligned.
torch::Tensor Copy(const TensorView& view, torch::ScalarType dtype) {
  torch::Tensor result = torch::empty(view.shape, dtype);
  if (!view.bytes.empty()) std::memcpy(result.mutable_data_ptr(), view.bytes.data(), view.bytes.size());
  return result;
}

Split ReadSplit(const SafetensorsReader& file) {
  const TensorView& images = file.Require("images");
  const TensorView& labels = file.Require("labels");
  if (images.dtype != DType::kU8 && images.dtype != DType::kF32) {
    throw DataError(Text(Where(file, "images"), " has dtype ", base::DTypeName(images.dtype), "; allowed: U8, F32"));
  }
  if (labels.dtype != DType::kI64) {
    throw DataError(Text(Where(file, "labels"), " has dtype ", base::DTypeName(labels.dtype), "; it must be I64"));
  }
  return {.images = Copy(images, images.dtype == DType::kU8 ? torch::kUInt8 : torch::kFloat32),
          .labels = Copy(labels, torch::kInt64)};
}

std::vector<double> ReadConstants(const SafetensorsReader& file, const std::string& name, int64_t channels) {
  const TensorView& view = file.Require(name);
  if (view.dtype != DType::kF32 && view.dtype != DType::kF64) {
    throw DataError(Text(Where(file, name), " has dtype ", base::DTypeName(view.dtype), "; allowed: F32, F64"));
  }
  if (view.shape != std::vector<int64_t>{channels}) {
    throw DataError(Text(Where(file, name), " has shape ", at::IntArrayRef(view.shape), "; it must be [", channels,
                         "], one number for each channel of 'images'"));
  }
  const auto dtype = view.dtype == DType::kF32 ? torch::kFloat32 : torch::kFloat64;
  const torch::Tensor values = Copy(view, dtype).to(torch::kFloat64);
  const double* start = values.const_data_ptr<double>();
  return {start, start + channels};
}

Normalisation ReadNormalisation(const SafetensorsReader& file, int64_t channels) {
  const bool has_mean = file.Find("mean") != nullptr, has_std = file.Find("std") != nullptr;
  if (!has_mean && !has_std) return {};
  if (has_mean != has_std) {
    throw DataError(Text(file.path().string(), ": has the tensor '", has_mean ? "mean" : "std", "' without '",
                         has_mean ? "std" : "mean", "'; give both or neither (then both are measured)"));
  }
  Normalisation result{.mean = ReadConstants(file, "mean", channels), .std = ReadConstants(file, "std", channels)};
  for (int64_t c = 0; c < channels; ++c) {
    if (!std::isfinite(result.mean[c]) || !std::isfinite(result.std[c]) || result.std[c] <= 0) {
      throw DataError(Text(file.path().string(), ": channel ", c, " has mean ", result.mean[c], " and std ",
                           result.std[c], "; the mean must be finite, the std finite and above 0"));
    }
  }
  return result;
}

/// The classes that the labels show. A damaged label would ask for a network of any size, so there is a limit.
int64_t CountLabels(const SafetensorsReader& file, const torch::Tensor& labels) {
  constexpr int64_t kMostClasses = 1'000'000;
  const int64_t largest = labels.numel() == 0 ? 0 : labels.max().item<int64_t>();
  if (largest < kMostClasses) return largest + 1;
  throw DataError(Text(Where(file, "labels"), " holds the label ", largest, "; the classes are counted from the labels, which ",
                       "must be below ", kMostClasses, ". If it is right, add the metadata entry \"classes\""));
}

/// Metadata first; without it, what the training labels show. Labels that are wrong are left to ValidateSplit.
int64_t CountClasses(const SafetensorsReader& file, const torch::Tensor& labels) {
  const auto entry = file.metadata().find("classes");
  if (entry == file.metadata().end()) return CountLabels(file, labels);
  const std::string& text = entry->second;
  int64_t classes = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), classes);
  if (error != std::errc() || end != text.data() + text.size() || classes < 1) {
    throw DataError(Text(file.path().string(), ": the metadata entry \"classes\" is \"", text,
                         "\"; it must be a whole number, at least 1"));
  }
  return classes;
}

/// A further split that must look like the training images.
Split ReadAlike(const std::filesystem::path& path, const Dataset& dataset) {
  const SafetensorsReader file(path);
  Split split = ReadSplit(file);
  ValidateSplit(split, dataset.classes, path.string());
  const torch::Tensor& train = dataset.train.images;
  if (split.images.sizes().slice(1) != train.sizes().slice(1) || split.images.scalar_type() != train.scalar_type()) {
    throw DataError(Text(Where(file, "images"), " is ", split.images.scalar_type(), " ", split.images.sizes(),
                         "; train.safetensors has ", train.scalar_type(), " ", train.sizes(),
                         ": dtype, channels, height and width must agree"));
  }
  return split;
}

}  // namespace

Dataset LoadTensors(const DataOptions& options) {
  const auto find = [&](const std::string& name) { return FindFile(options.path, {""}, {name}, "tensors"); };
  const std::filesystem::path train = find("train.safetensors"), test = find("test.safetensors");
  const std::filesystem::path validation = options.path / "validation.safetensors";
  Dataset dataset;
  const SafetensorsReader file(train);
  dataset.train = ReadSplit(file);
  dataset.classes = CountClasses(file, dataset.train.labels);
  ValidateSplit(dataset.train, dataset.classes, train.string());
  dataset.normalisation = ReadNormalisation(file, dataset.channels());
  dataset.test = ReadAlike(test, dataset);
  if (std::filesystem::exists(validation)) dataset.validation = ReadAlike(validation, dataset);
  return dataset;
}

}  // namespace basin::data
