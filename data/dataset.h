// A data set in memory: bytes as they were published, converted batch by batch.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace basin::data {

/// One split. Immutable after loading; shared by all members of a process.
struct Split {
  torch::Tensor images;  ///< uint8 or float32 [n, C, H, W], contiguous, CPU
  torch::Tensor labels;  ///< int64 [n]
  int64_t size() const { return labels.defined() ? labels.size(0) : 0; }
};

/// Per-channel constants of (x / 255 - mean) / std; for float32 images of (x - mean) / std.
struct Normalisation {
  std::vector<double> mean, std;  ///< [C]
};

struct Dataset {
  std::string name;
  int64_t classes = 0;
  Split train, validation, test;  ///< validation may be empty
  Normalisation normalisation;
  int64_t channels() const { return train.images.size(1); }
  int64_t height() const { return train.images.size(2); }
  int64_t width() const { return train.images.size(3); }
};

struct DataOptions {
  std::string name = "shapes";
  std::filesystem::path path;           ///< already resolved against the configuration's folder; empty: none given
  std::optional<int64_t> train_limit;   ///< the first K training examples, before the validation split
  std::optional<int64_t> test_limit;
  double validation = 0.02;             ///< share of train held out, in [0, 1)
  std::optional<Normalisation> normalise;
  uint64_t seed = 1;                    ///< run seed, for the validation split alone
};

/// Images of `split` at `indices` (int64 [b], CPU), normalised float32 [b, C, H, W] on `device`; channels_last when asked.
torch::Tensor TakeImages(const Split& split, const Normalisation& normalisation, const torch::Tensor& indices,
                         torch::Device device, bool channels_last);

/// The same arithmetic by tensor operations: uint8 or float32 [b, C, H, W] on any device -> float32, same bits as TakeImages.
torch::Tensor Normalise(const torch::Tensor& images, const Normalisation& normalisation);

/// The mean and the population standard deviation of each channel of (image / 255 for bytes), accumulated in double.
/// A channel that has one value everywhere gets the deviation 1, so that it becomes 0 instead of 0 / 0.
Normalisation MeasureNormalisation(const Split& split);

/// How many of `total` training examples a validation share holds out: round(share x total). ConfigError when the share is outside
/// [0, 1) or leaves none.
int64_t HeldOut(int64_t total, double share);

/// Holds out HeldOut random examples of `train` (stream kValidationSplit); order within both parts is kept.
/// `dataset` must have no validation split yet.
void SplitValidation(Dataset& dataset, double share, uint64_t seed);

/// DataError unless: n >= 1, labels in [0, classes), images [n,C,H,W] and finite. `where` names the file.
void ValidateSplit(const Split& split, int64_t classes, const std::string& where);

}  // namespace basin::data
