#include "merge/cca.h"

#include <torch/types.h>

#include <utility>

#include "base/error.h"

namespace basin::merge {
namespace {

struct Roots {
  torch::Tensor root, inverse;  // S^1/2, S^-1/2
};

Roots RootsOf(const torch::Tensor& covariance, double ridge, const std::string& id) {
  const int64_t n = covariance.size(0);
  const double variance = covariance.diagonal().mean().item<double>();
  // A layer that is silent altogether has nothing to align: any ridge > 0 makes its map orthogonal.
  const double added = ridge * (variance > 0 ? variance : 1.0);
  const auto [values, vectors] = torch::linalg_eigh((covariance + covariance.t()) / 2 + added * torch::eye(n, torch::kFloat64));
  // An eigenvalue below float64's rounding of the largest is noise, and so would its root be.
  const double smallest = values[0].item<double>(), largest = values[n - 1].item<double>();
  if (!(smallest > 1e-14 * largest)) {
    throw DataError(Text("units ", id, ": the covariance of their activations is singular (eigenvalues ", smallest, " to ", largest,
                         "); use a larger ridge (now ", ridge, ") or more images"));
  }
  const torch::Tensor roots = values.sqrt();
  return {(vectors * roots).mm(vectors.t()), (vectors / roots).mm(vectors.t())};
}

/// sum_k matrix[k, j] tensor[.., k, ..] along `axis`.
torch::Tensor Mixed(const torch::Tensor& tensor, int64_t axis, const torch::Tensor& matrix) {
  return torch::tensordot(tensor, matrix, {axis}, {0}).movedim(-1, axis);
}

}  // namespace

LinearMap CcaMap(const PairStatistics& statistics, const std::string& id, double ridge) {
  BASIN_CHECK(statistics.within() == PairStatistics::Within::kFull, "CCA needs the full covariances of units ", id);
  const PairStatistics::Moments moments = statistics.MomentsOf(id);
  const Roots x = RootsOf(moments.aa, ridge, id), y = RootsOf(moments.bb, ridge, id);
  const auto [u, s, vt] = torch::linalg_svd(x.inverse.mm(moments.ab).mm(y.inverse));
  const torch::Tensor rotation = u.mm(vt);  // U V^T
  return {y.inverse.mm(rotation.t()).mm(x.root), x.inverse.mm(rotation).mm(y.root)};
}

std::map<std::string, LinearMap> CcaMaps(const PairStatistics& statistics, double ridge) {
  std::map<std::string, LinearMap> maps;
  for (const auto& [id, n] : statistics.sizes()) maps[id] = CcaMap(statistics, id, ridge);
  return maps;
}

models::StateDict ApplyMaps(const models::PermutationSpec& spec, const std::map<std::string, LinearMap>& maps, const models::StateDict& state) {
  const torch::NoGradGuard no_grad;
  const auto sizes = models::ValidateSpec(spec, state);
  for (const auto& [id, map] : maps) {
    const auto size = sizes.find(id);
    BASIN_CHECK(size != sizes.end() && map.map.size(0) == size->second, "the map of units ", id, " does not fit the network");
  }
  models::StateDict result;
  for (const models::NamedTensor& item : state) {
    torch::Tensor tensor = item.tensor;
    const auto entry = spec.axes().find(item.name);
    if (entry != spec.axes().end()) {
      tensor = tensor.detach().to(torch::kFloat64);
      for (size_t axis = 0; axis < entry->second.size(); ++axis) {
        const auto found = maps.find(entry->second[axis]);
        if (found == maps.end()) continue;
        const LinearMap& map = found->second;
        const torch::Tensor matrix = axis > 0 ? map.inverse.t() : item.name.ends_with("running_var") ? map.map.square() : map.map;
        tensor = Mixed(tensor, static_cast<int64_t>(axis), matrix);
      }
      tensor = tensor.to(item.tensor.options()).contiguous();
    }
    result.push_back({item.name, tensor});
  }
  return result;
}

}  // namespace basin::merge
