#include "merge/weight_gains.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <optional>

#include "base/error.h"
#include "merge/gram_product.h"
#include "merge/match.h"

namespace basin::merge {
namespace {

torch::Tensor AsIndices(const std::vector<int64_t>& order) { return torch::tensor(at::ArrayRef<int64_t>(order)); }

std::vector<int64_t> Counting(int64_t n) {
  std::vector<int64_t> numbers(n);
  std::iota(numbers.begin(), numbers.end(), int64_t{0});
  return numbers;
}

/// As the products read it; every narrower type fits into float32.
torch::Tensor Plain(const torch::Tensor& tensor) {
  return tensor.detach().to(torch::kCPU, tensor.scalar_type() == torch::kFloat64 ? torch::kFloat64 : torch::kFloat32).contiguous();
}

/// Axes in the order: `first` (unless -1), the rest, `last`; contiguous.
torch::Tensor Arrange(const torch::Tensor& tensor, int64_t first, int64_t last) {
  std::vector<int64_t> order;
  if (first >= 0) order.push_back(first);
  for (int64_t axis = 0; axis < tensor.dim(); ++axis) {
    if (axis != first && axis != last) order.push_back(axis);
  }
  order.push_back(last);
  return tensor.permute(order).contiguous();
}

/// The axes but `own` and `other` as one: elements and the stride between them. None when they do not follow each other evenly.
struct Rest {
  int64_t elements = 1, stride = 1;
};
std::optional<Rest> RestOf(const torch::Tensor& tensor, int64_t own, int64_t other) {
  Rest rest;
  for (int64_t axis = tensor.dim() - 1; axis >= 0; --axis) {
    if (axis == own || axis == other || tensor.size(axis) == 1) continue;
    if (rest.elements == 1) rest.stride = tensor.stride(axis);
    if (tensor.stride(axis) != rest.stride * rest.elements) return std::nullopt;
    rest.elements *= tensor.size(axis);
  }
  return rest;
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
    AddPlaces(entry->second, Plain(versions.tensors[0]), Plain(versions.tensors[1]));
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
      AddProduct(PlaceOf(a, b, axis, -1), {.a = Counting(1), .b = Counting(1)}, constant_[own]);
    } else if (others.size() == 1) {
      places_[own].push_back(PlaceOf(a, b, axis, others[0]));
      places_[own].back().other = ids[others[0]];
    } else {
      places_[own].push_back(PlaceOf(Arrange(a, -1, axis), Arrange(b, -1, axis), a.dim() - 1, -1));
      places_[own].back().axes = ids;
      places_[own].back().axes.erase(places_[own].back().axes.begin() + axis);
    }
  }
}

MatchedWeights::Place MatchedWeights::PlaceOf(const torch::Tensor& a, const torch::Tensor& b, int64_t own, int64_t other) {
  const std::optional<Rest> rest = RestOf(a, own, other);
  if (!rest) return PlaceOf(Arrange(a, other, own), Arrange(b, other, own), a.dim() - 1, other < 0 ? -1 : 0);
  Place place{.a = a, .b = b, .inner = rest->elements, .inner_stride = rest->stride, .unit_stride = a.stride(own)};
  place.outer = other < 0 ? 1 : a.size(other);
  place.outer_stride = other < 0 ? rest->stride : a.stride(other);
  return place;
}

void MatchedWeights::AddProduct(const Place& place, const RowOrders& orders, torch::Tensor& gains) {
  const auto add = [&]<typename T>(T) {
    const GramRows<T> layout{.outer_stride = place.outer_stride, .inner = place.inner, .inner_stride = place.inner_stride, .unit_stride = place.unit_stride};
    GramRows<T> a = layout, b = layout;
    a.values = place.a.const_data_ptr<T>();
    a.outer = orders.a;
    b.values = place.b.const_data_ptr<T>();
    b.outer = orders.b;
    b.minus = orders.minus;
    AddGramProduct(a, b, gains.size(0), gains.mutable_data_ptr<double>());
  };
  place.a.scalar_type() == torch::kFloat64 ? add(double{}) : add(float{});
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
    const bool several = !weights_.places_[p][place].axes.empty();
    changed |= several ? UpdateSeveral(p, place, orders) : UpdatePlace(p, place, orders);
  }
  return changed;
}

bool WeightGains::UpdatePlace(int64_t p, size_t place, const UnitOrders& orders) {
  const MatchedWeights::Place& own = weights_.places_[p][place];
  UnitOrders& seen = seen_[p][place].orders;
  const std::vector<int64_t>& now = orders[own.other];
  if (seen.empty()) {
    MatchedWeights::AddProduct(own, {.a = Counting(own.outer), .b = now}, gains_[p]);
    seen = {now};
    return true;
  }
  MatchedWeights::RowOrders moved;
  for (int64_t unit = 0; unit < std::ssize(now); ++unit) {
    if (now[unit] == seen[0][unit]) continue;
    moved.a.push_back(unit);
    moved.b.push_back(now[unit]);
    moved.minus.push_back(seen[0][unit]);
  }
  if (moved.a.empty()) return false;
  MatchedWeights::AddProduct(own, moved, gains_[p]);
  seen[0] = now;
  return true;
}

bool WeightGains::UpdateSeveral(int64_t p, size_t place, const UnitOrders& orders) {
  MatchedWeights::Place own = weights_.places_[p][place];
  Seen& seen = seen_[p][place];
  UnitOrders now;
  for (const int64_t id : own.axes) {
    if (id >= 0) now.push_back(orders[id]);
  }
  if (seen.orders == now) return false;
  for (int64_t axis = 0; axis < std::ssize(own.axes); ++axis) {
    if (own.axes[axis] >= 0) own.b = own.b.index_select(axis, AsIndices(orders[own.axes[axis]]));
  }
  torch::Tensor product = torch::zeros_like(gains_[p]);
  MatchedWeights::AddProduct(own, {.a = Counting(1), .b = Counting(1)}, product);
  gains_[p].add_(product);
  if (seen.product.defined()) gains_[p].sub_(seen.product);
  seen = {std::move(now), product};
  return true;
}

std::span<const double> WeightGains::gains(int64_t p) const {
  return {gains_[p].const_data_ptr<double>(), static_cast<size_t>(gains_[p].numel())};
}

}  // namespace basin::merge
