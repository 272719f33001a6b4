#include "merge/prune.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <span>

#include "base/error.h"
#include "merge/distance.h"
#include "merge/singular.h"

namespace basin::merge {
namespace {

struct Matrix {
  std::string name;
  std::span<float> values;
};

std::vector<Matrix> Matrices(const models::StateDict& state) {
  std::vector<Matrix> matrices;
  for (const std::string& name : WeightMatrices(state)) {
    torch::Tensor tensor = models::FindTensor(state, name)->detach();
    BASIN_CHECK(tensor.is_contiguous() && tensor.scalar_type() == torch::kFloat32 && tensor.device().is_cpu(), "tensor ", name);
    matrices.push_back({name, {tensor.mutable_data_ptr<float>(), static_cast<size_t>(tensor.numel())}});
  }
  return matrices;
}

/// A weight by its magnitude, then its place: a strict order, so that the chosen set is one and the same everywhere. The bits of a
/// non-negative float ascend with its value.
uint64_t Key(float weight, size_t place) { return uint64_t{std::bit_cast<uint32_t>(std::abs(weight))} << 32 | place; }

void ZeroSmallest(std::span<const Matrix> matrices, double sparsity) {
  size_t total = 0;
  for (const Matrix& matrix : matrices) total += matrix.values.size();
  BASIN_CHECK(total <= UINT32_MAX, "pruning ", total, " weights at once; the order of equal ones is kept for 2^32");
  const auto count = static_cast<size_t>(std::llround(sparsity * static_cast<double>(total)));
  if (count == 0) return;
  std::vector<uint64_t> keys;
  keys.reserve(total);
  for (const Matrix& matrix : matrices) {
    for (const float weight : matrix.values) keys.push_back(Key(weight, keys.size()));
  }
  std::nth_element(keys.begin(), keys.begin() + static_cast<std::ptrdiff_t>(count - 1), keys.end());
  const uint64_t last = keys[count - 1];
  size_t place = 0;
  for (const Matrix& matrix : matrices) {
    for (float& weight : matrix.values) {
      if (Key(weight, place++) <= last) weight = 0;
    }
  }
}

}  // namespace

std::vector<PrunedLayer> PruneByMagnitude(const models::StateDict& state, double sparsity, PruneScope scope) {
  if (!(sparsity >= 0 && sparsity <= 1)) throw ConfigError(Text("sparsity is ", sparsity, "; it must lie in [0, 1]"));
  const torch::NoGradGuard no_grad;
  const std::vector<Matrix> matrices = Matrices(state);
  if (scope == PruneScope::kGlobal) {
    ZeroSmallest(matrices, sparsity);
  } else {
    for (const Matrix& matrix : matrices) ZeroSmallest({&matrix, 1}, sparsity);
  }
  std::vector<PrunedLayer> layers;
  for (const Matrix& matrix : matrices) {
    layers.push_back({LayerOf(matrix.name), std::ssize(matrix.values), std::count(matrix.values.begin(), matrix.values.end(), 0.F)});
  }
  return layers;
}

}  // namespace basin::merge
