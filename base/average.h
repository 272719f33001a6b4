// The arithmetic of averages on raw memory, the same for tensors, for mapped files and for a program without a tensor
// library. Names and shapes are checked elsewhere (base/tensor_match.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/safetensors.h"

namespace basin::base {

enum class AverageMethod { kUniform, kMedian, kTrimmedMean };

struct AverageOptions {
  AverageMethod method = AverageMethod::kUniform;
  std::vector<double> weights{};  ///< uniform only: one a network, non-negative, sum > 0; empty: all equal
  /// Trimmed mean: the floor(trim x K) smallest and largest are dropped (arXiv 1803.01498); in [0, 0.5).
  double trim = 0.25;
};

/// work(begin, end) for parts that cover a range once, in any order and on any threads; returns when all are done. A
/// part of fewer than `grain` is not worth another thread. No result depends on how the range is divided.
using BlockWork = std::function<void(int64_t begin, int64_t end)>;
using ForBlocks = std::function<void(int64_t begin, int64_t end, int64_t grain, const BlockWork& work)>;
/// The whole range at once, on the caller's thread.
void InOneThread(int64_t begin, int64_t end, int64_t grain, const BlockWork& work);

/// K arrays of one type and length. Memory of any alignment; borrowed.
struct Columns {
  std::string name;  ///< of the tensor, for messages
  DType dtype = DType::kF32;
  int64_t num_elements = 0;
  std::vector<const std::byte*> data;
};

/// F64, F32, F16 or BF16: the types that are averaged.
bool IsFloating(DType dtype);

/// ConfigError when the options do not suit this number of networks, 0 included.
void CheckAverageOptions(const AverageOptions& options, int64_t networks);

/// The average of K >= 1 columns, written to `out`. Floating: accumulated in double in the order given, rounded once.
/// Median of an even K: mean of the middle two. Whole numbers and booleans: the common value, or the largest where they
/// differ. Other types must agree to the bit (DataError).
void AverageColumns(const Columns& columns, const AverageOptions& options, std::byte* out,
                    const ForBlocks& for_blocks = InOneThread);

/// out = sum_k weights[k] x_k / divisor for floating types, rounded once to the type; a column of weight 0 is not read.
/// Sums are exact enough (float64: compensated) that K equal columns with equal weights give their own bits.
void WeightedSum(const Columns& columns, std::span<const double> weights, double divisor, std::byte* out,
                 const ForBlocks& for_blocks = InOneThread);

/// The element-wise largest; only for whole numbers and booleans (and any type when all columns are equal to the bit).
void LargestOf(const Columns& columns, std::byte* out);

/// sum_i sum_k (x_k[i] - mean_k x_k[i])^2 in double. Floating types. Independent of the number of threads.
double SquaredDeviation(const Columns& columns, const ForBlocks& for_blocks = InOneThread);

/// sum_i (a[i] - b[i])^2 of two arrays of one floating type, in double. Independent of the number of threads.
double SquaredDistance(DType dtype, const std::byte* a, const std::byte* b, int64_t num_elements,
                       const ForBlocks& for_blocks = InOneThread);

/// Index of the first value that is NaN or infinite; -1 when there is none (and for types that are not floating).
int64_t FirstNonFinite(DType dtype, const std::byte* data, int64_t num_elements);

}  // namespace basin::base
