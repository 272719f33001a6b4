#include "merge/weight_gains.h"

#include <algorithm>
#include <array>
#include <set>

#include "base/error.h"
#include "merge/gram_product.h"
#include "merge/match.h"

namespace basin::merge {
namespace {

torch::Tensor AsIndices(const std::vector<int64_t>& order) { return torch::tensor(at::ArrayRef<int64_t>(order)); }

/// Axes in the order: `first` (unless -1), the rest, `last`; contiguous.
torch::Tensor Arrange(const torch::Tensor& tensor, int64_t first, int64_t last) {
  std::vector<int64_t> order;
  if (first >= 0) order.push_back(first);
  for (int64_t axis = 0; axis < tensor.dim(); ++axis) {
    if (axis != first && axis != last) order.push_back(axis);
  }
  order.push_back(last);
  const torch::Tensor view = tensor.permute(order);
  if (last != 0 || first > 1) return view.contiguous();
  // The axes but one keep their order: a transposition, which LibTorch copies in blocks.
  return tensor.reshape({tensor.size(0), -1}).t().contiguous().view(view.sizes());
}

/// gains += a^T b, with all but the last axis summed over.
void AddProduct(torch::Tensor& gains, const torch::Tensor& a, const torch::Tensor& b) {
  const int64_t n = gains.size(0);
  const torch::Tensor rows_a = a.reshape({-1, n}).contiguous(), rows_b = b.reshape({-1, n}).contiguous();
  const bool done = AddGramProduct(rows_a.const_data_ptr<double>(), rows_b.const_data_ptr<double>(), rows_a.size(0), n, gains.mutable_data_ptr<double>());
  if (!done) gains.addmm_(rows_a.t(), rows_b);
}

}  // namespace

MatchedWeights::MatchedWeights(const models::PermutationSpec& spec, const models::StateDict& a, const models::StateDict& b) {
  const torch::NoGradGuard no_grad;
  const std::array<const models::StateDict*, 2> both{&a, &b};
  const std::vector<Versions> matched = MatchStates(both);
  for (const auto& [id, size] : models::ValidateSpec(spec, a)) {
    ids_.push_back(id);
    sizes_.push_back(size);
    constant_.push_back(torch::zeros({size, size}, torch::kFloat64));
  }
  places_.resize(ids_.size());
  neighbours_.resize(ids_.size());
  for (const Versions& versions : matched) {
    const auto entry = spec.axes().find(versions.name);
    if (entry == spec.axes().end() || models::IsBatchNormStatistic(versions.name)) continue;
    if (!versions.tensors[0].is_floating_point()) continue;
    AddPlaces(entry->second, versions.tensors[0].to(torch::kFloat64), versions.tensors[1].to(torch::kFloat64));
  }
  for (auto& neighbours : neighbours_) {
    std::sort(neighbours.begin(), neighbours.end());
    neighbours.erase(std::unique(neighbours.begin(), neighbours.end()), neighbours.end());
  }
}

int64_t MatchedWeights::IndexOf(const std::string& id) const {
  return id.empty() ? -1 : std::lower_bound(ids_.begin(), ids_.end(), id) - ids_.begin();
}

void MatchedWeights::AddPlaces(const std::vector<std::string>& axes, const torch::Tensor& a, const torch::Tensor& b) {
  std::vector<int64_t> ids;
  for (const std::string& id : axes) ids.push_back(IndexOf(id));
  for (int64_t axis = 0; axis < std::ssize(ids); ++axis) {
    const int64_t own = ids[axis];
    if (own < 0) continue;
    std::vector<int64_t> others;  // axes
    for (int64_t k = 0; k < std::ssize(ids); ++k) {
      if (k != axis && ids[k] >= 0) others.push_back(k);
    }
    for (const int64_t k : others) neighbours_[own].push_back(ids[k]);
    if (others.empty()) {
      AddProduct(constant_[own], Arrange(a, -1, axis), Arrange(b, -1, axis));
    } else if (others.size() == 1) {
      places_[own].push_back({ids[others[0]], Arrange(a, others[0], axis), Arrange(b, others[0], axis)});
    } else {
      std::vector<int64_t> rest = ids;
      rest.erase(rest.begin() + axis);
      places_[own].push_back({-1, Arrange(a, -1, axis), Arrange(b, -1, axis), std::move(rest)});
    }
  }
}

WeightGains::WeightGains(const MatchedWeights& weights) : weights_(weights), is_new_(weights.ids_.size(), true) {
  for (size_t p = 0; p < weights.ids_.size(); ++p) {
    gains_.push_back(weights.constant_[p].clone());
    seen_.emplace_back(weights.places_[p].size());
  }
}

bool WeightGains::Update(int64_t p, const UnitOrders& orders) {
  const torch::NoGradGuard no_grad;
  bool changed = is_new_[p];
  is_new_[p] = false;
  for (size_t place = 0; place < seen_[p].size(); ++place) {
    const bool several = weights_.places_[p][place].other < 0;
    changed |= several ? UpdateSeveral(p, place, orders) : UpdatePlace(p, place, orders);
  }
  return changed;
}

bool WeightGains::UpdatePlace(int64_t p, size_t place, const UnitOrders& orders) {
  const auto& [other, a, b, axes] = weights_.places_[p][place];
  UnitOrders& seen = seen_[p][place].orders;
  const std::vector<int64_t>& now = orders[other];
  if (seen.empty()) {
    const bool as_they_are = std::ranges::is_sorted(now);
    AddProduct(gains_[p], a, as_they_are ? b : b.index_select(0, AsIndices(now)));
    seen = {now};
    return true;
  }
  std::vector<int64_t> moved, from, to;
  for (int64_t unit = 0; unit < std::ssize(now); ++unit) {
    if (now[unit] == seen[0][unit]) continue;
    moved.push_back(unit);
    from.push_back(seen[0][unit]);
    to.push_back(now[unit]);
  }
  if (moved.empty()) return false;
  const torch::Tensor change = b.index_select(0, AsIndices(to)).sub_(b.index_select(0, AsIndices(from)));
  AddProduct(gains_[p], std::ssize(moved) == std::ssize(now) ? a : a.index_select(0, AsIndices(moved)), change);
  seen[0] = now;
  return true;
}

bool WeightGains::UpdateSeveral(int64_t p, size_t place, const UnitOrders& orders) {
  const auto& [other, a, b, axes] = weights_.places_[p][place];
  Seen& seen = seen_[p][place];
  UnitOrders now;
  for (const int64_t id : axes) {
    if (id >= 0) now.push_back(orders[id]);
  }
  if (seen.orders == now) return false;
  torch::Tensor permuted = b;
  for (int64_t axis = 0; axis < std::ssize(axes); ++axis) {
    if (axes[axis] >= 0) permuted = permuted.index_select(axis, AsIndices(orders[axes[axis]]));
  }
  torch::Tensor product = torch::zeros_like(gains_[p]);
  AddProduct(product, a, permuted);
  gains_[p].add_(product);
  if (seen.product.defined()) gains_[p].sub_(seen.product);
  seen = {std::move(now), product};
  return true;
}

std::span<const double> WeightGains::gains(int64_t p) const {
  return {gains_[p].const_data_ptr<double>(), static_cast<size_t>(gains_[p].numel())};
}

}  // namespace basin::merge
