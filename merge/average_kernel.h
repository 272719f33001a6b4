// The arithmetic of averages on raw memory, the same for tensors and for mapped files. Names and shapes are checked
// elsewhere.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/safetensors.h"
#include "merge/average.h"

namespace basin::merge {

/// K arrays of one type and length. Memory of any alignment; borrowed.
struct Columns {
  std::string name;  ///< of the tensor, for messages
  base::DType dtype = base::DType::kF32;
  int64_t num_elements = 0;
  std::vector<const std::byte*> data;
};

/// F64, F32, F16 or BF16: the types that are averaged.
bool IsFloating(base::DType dtype);

/// ConfigError when the options do not suit this number of networks, 0 included.
void CheckAverageOptions(const AverageOptions& options, int64_t networks);

/// The average that merge/average.h describes, written to `out`. Types that are neither floating nor whole numbers must
/// agree to the bit (DataError).
void AverageColumns(const Columns& columns, const AverageOptions& options, std::byte* out);

/// out = sum_k weights[k] x_k / divisor for floating types, rounded once to the type; a column of weight 0 is not read.
/// Sums are exact enough (float64: compensated) that K equal columns with equal weights give their own bits.
void WeightedSum(const Columns& columns, std::span<const double> weights, double divisor, std::byte* out);

/// The element-wise largest; only for whole numbers and booleans (and any type when all columns are equal to the bit).
void LargestOf(const Columns& columns, std::byte* out);

/// sum_i sum_k (x_k[i] - mean_k x_k[i])^2 in double. Floating types. Independent of the number of threads.
double SquaredDeviation(const Columns& columns);

/// Index of the first value that is NaN or infinite; -1 when there is none (and for types that are not floating).
int64_t FirstNonFinite(base::DType dtype, const std::byte* data, int64_t num_elements);

}  // namespace basin::merge
