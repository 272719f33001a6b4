// What the units of two networks do on the same images, as sums that can be added over batches and ranks.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "merge/weight_matching.h"
#include "models/classifier.h"

namespace basin::merge {

/// Batches of images by number: a pure function, [n, C, H, W] on the networks' device, n >= 1, normalised and un-augmented.
struct ImageBatches {
  int64_t count = 0;
  std::function<torch::Tensor(int64_t batch)> at;
};

/// For each permutation id of n units, over samples (images; for convolutions every pixel of every image): 1, a, b, a a^T, b b^T, a b^T,
/// where a and b are the units' activations in the two networks. One float64 vector on the CPU: adding two of it adds the samples.
class PairStatistics {
 public:
  enum class Within {
    kDiagonal,  ///< of a a^T and b b^T the diagonal alone: what matching needs
    kFull,      ///< all: what CCA needs
  };
  PairStatistics(std::map<std::string, int64_t> sizes, Within within);

  struct Sums {
    torch::Tensor count;           ///< [1]
    torch::Tensor a, b;            ///< [n]
    torch::Tensor aa, bb;          ///< [n] or [n, n]
    torch::Tensor ab;              ///< [n, n], row: unit of A, column: unit of B
  };
  /// Views into values(), float64. CheckFailed for an unknown id.
  Sums of(const std::string& id) const;
  const std::map<std::string, int64_t>& sizes() const { return sizes_; }
  Within within() const { return within_; }
  torch::Tensor& values() { return values_; }  ///< float64 [all sums]
  const torch::Tensor& values() const { return values_; }

  /// Means, covariances (division by the number of samples) and standard deviations. DataError when there is no sample, or when a
  /// sum is not finite (names the id).
  struct Moments {
    torch::Tensor mean_a, mean_b;  ///< [n]
    torch::Tensor aa, bb;          ///< variances [n] or covariances [n, n]
    torch::Tensor ab;              ///< covariances [n, n]
  };
  Moments MomentsOf(const std::string& id) const;

 private:
  std::map<std::string, int64_t> sizes_;
  std::map<std::string, int64_t> offsets_;
  Within within_;
  torch::Tensor values_;
};

struct StatisticsOptions {
  bool before_nonlinearity = false;  ///< false: after the ReLU
  PairStatistics::Within within = PairStatistics::Within::kDiagonal;
};

/// One pass of both networks, in eval mode, over all batches; listeners and modes are as before afterwards, an exception's case
/// included. A residual stream is taken after its last block (models::Classifier::listener).
///
/// The batches are cut into at most kStatisticsParts runs, which are the tasks of `share`; sums of a part run over its batches in order, and the
/// parts are added in order. So the result depends on the batches alone, not on who summed what. With `share` every part's sums
/// (values().numel() doubles) are in memory at once; without, one part's.
///
/// Products are float32 GEMMs of at most kStatisticsRows samples, about a centre near the mean so that nothing cancels; everything else is
/// float64. DataError when the networks' ids or sizes differ; CheckFailed without batches, when a network tells nothing of an id, or
/// when a and b are one module.
PairStatistics MeasurePair(models::Classifier& a, models::Classifier& b, const ImageBatches& batches,
                           const StatisticsOptions& options = {}, const TaskShare& share = {});

inline constexpr int64_t kStatisticsParts = 8;     ///< a constant of the result: never the number of ranks
inline constexpr int64_t kStatisticsRows = 1 << 13;

}  // namespace basin::merge
