#include "merge/universe.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/error.h"
#include "merge/assignment.h"
#include "merge/match.h"

namespace basin::merge {
namespace {

/// A matrix for each id: [n, n] float64, rows: units of the universe, columns: units of the network.
using Maps = std::vector<torch::Tensor>;
/// The matched tensors of a network.
using Weights = std::vector<torch::Tensor>;

torch::Tensor Product(const torch::Tensor& matrix, const torch::Tensor& tensor, int64_t axis) {
  return at::tensordot(matrix, tensor, {1}, {axis}).movedim(0, axis);
}

std::vector<double> AsVector(const torch::Tensor& tensor) {
  const torch::Tensor flat = tensor.contiguous();
  return {flat.const_data_ptr<double>(), flat.const_data_ptr<double>() + flat.numel()};
}

class Universe {
 public:
  Universe(const models::PermutationSpec& spec, std::span<const models::StateDict> networks) : networks_(networks.size()) {
    std::vector<const models::StateDict*> pointers;
    for (const models::StateDict& network : networks) pointers.push_back(&network);
    for (const auto& [id, size] : models::ValidateSpec(spec, networks[0])) {
      ids_.push_back(id);
      sizes_.push_back(size);
    }
    for (const Versions& versions : MatchStates(pointers)) {
      const auto entry = spec.axes().find(versions.name);
      if (entry == spec.axes().end() || models::IsBatchNormStatistic(versions.name) || !versions.tensors[0].is_floating_point()) continue;
      std::vector<int64_t> ids;
      for (const std::string& id : entry->second) {
        ids.push_back(id.empty() ? -1 : std::lower_bound(ids_.begin(), ids_.end(), id) - ids_.begin());
      }
      degree_ = std::max(degree_, static_cast<int>(std::count_if(ids.begin(), ids.end(), [](int64_t id) { return id >= 0; })));
      axes_.push_back(std::move(ids));
      for (size_t m = 0; m < networks.size(); ++m) networks_[m].push_back(versions.tensors[m].to(torch::kFloat64));
    }
    for (size_t m = 0; m < networks.size(); ++m) {
      maps_.emplace_back();
      for (const int64_t size : sizes_) maps_[m].push_back(torch::eye(size, torch::kFloat64));
    }
  }

  int64_t num_networks() const { return std::ssize(networks_); }
  int64_t num_ids() const { return std::ssize(ids_); }
  int64_t most_units() const { return *std::max_element(sizes_.begin(), sizes_.end()); }
  int degree() const { return 2 * degree_; }

  /// Prepares the gradients of an iteration.
  void Look() {
    placed_.clear();
    for (int64_t m = 0; m < num_networks(); ++m) placed_.push_back(Place(m, maps_[m]));
    sum_.clear();
    for (size_t t = 0; t < axes_.size(); ++t) {
      sum_.push_back(placed_[0][t].clone());
      for (int64_t m = 1; m < num_networks(); ++m) sum_[t].add_(placed_[m][t]);
    }
  }

  /// The best permutation for the gradient of f by the map of network m and id p.
  std::vector<double> Direction(int64_t m, int64_t p) const {
    torch::Tensor gradient = torch::zeros({sizes_[p], sizes_[p]}, torch::kFloat64);
    for (size_t t = 0; t < axes_.size(); ++t) {
      for (int64_t axis = 0; axis < std::ssize(axes_[t]); ++axis) {
        if (axes_[t][axis] != p) continue;
        const torch::Tensor others = (sum_[t] - placed_[m][t]).movedim(axis, 0).reshape({sizes_[p], -1});
        const torch::Tensor own = PlaceTensor(m, t, maps_[m], axis).movedim(axis, 0).reshape({sizes_[p], -1});
        gradient.addmm_(others, own.t());
      }
    }
    const auto columns = MaximiseAssignment(AsVector(gradient), sizes_[p]);
    std::vector<double> row(columns.begin(), columns.end());
    row.resize(static_cast<size_t>(most_units()), 0);
    return row;
  }

  /// Where the rows of Direction, (network, id) in order, point to.
  std::vector<Maps> Targets(const std::vector<std::vector<double>>& rows) const {
    std::vector<Maps> targets(networks_.size());
    for (int64_t m = 0; m < num_networks(); ++m) {
      for (int64_t p = 0; p < num_ids(); ++p) {
        torch::Tensor map = torch::zeros({sizes_[p], sizes_[p]}, torch::kFloat64);
        const std::vector<double>& row = rows[m * num_ids() + p];
        for (int64_t i = 0; i < sizes_[p]; ++i) map.mutable_data_ptr<double>()[i * sizes_[p] + static_cast<int64_t>(row[i])] = 1;
        targets[m].push_back(map);
      }
    }
    return targets;
  }

  /// The maps a share `step` of the way to the targets.
  std::vector<Maps> Towards(const std::vector<Maps>& targets, double step) const {
    std::vector<Maps> maps = maps_;
    for (size_t m = 0; m < maps.size(); ++m) {
      for (size_t p = 0; p < maps[m].size(); ++p) maps[m][p] = maps_[m][p] * (1 - step) + targets[m][p] * step;
    }
    return maps;
  }

  /// f = (|sum_m X_m|^2 - sum_m |X_m|^2) / 2.
  double Objective(const std::vector<Maps>& maps) const {
    Weights sum;
    double squares = 0;
    for (int64_t m = 0; m < num_networks(); ++m) {
      const Weights placed = Place(m, maps[m]);
      for (size_t t = 0; t < placed.size(); ++t) {
        squares += placed[t].square().sum().item<double>();
        m == 0 ? sum.push_back(placed[t].clone()) : void(sum[t].add_(placed[t]));
      }
    }
    double together = 0;
    for (const torch::Tensor& tensor : sum) together += tensor.square().sum().item<double>();
    return (together - squares) / 2;
  }

  const std::vector<Maps>& maps() const { return maps_; }
  void Set(std::vector<Maps> maps) { maps_ = std::move(maps); }

  /// The permutation nearest to each map.
  std::vector<models::Permutations> Round() const {
    std::vector<models::Permutations> rounded(networks_.size());
    for (size_t m = 0; m < networks_.size(); ++m) {
      for (size_t p = 0; p < ids_.size(); ++p) {
        const auto order = MaximiseAssignment(AsVector(maps_[m][p]), sizes_[p]);
        rounded[m][ids_[p]] = torch::tensor(at::ArrayRef<int64_t>(order));
      }
    }
    return rounded;
  }
  std::vector<Maps> AsMaps(const std::vector<models::Permutations>& permutations) const {
    std::vector<std::vector<double>> rows;
    for (const models::Permutations& network : permutations) {
      for (const std::string& id : ids_) rows.push_back(AsVector(network.at(id).to(torch::kFloat64)));
    }
    return Targets(rows);
  }

 private:
  torch::Tensor PlaceTensor(int64_t m, size_t t, const Maps& maps, int64_t left_out) const {
    torch::Tensor tensor = networks_[m][t];
    for (int64_t axis = 0; axis < std::ssize(axes_[t]); ++axis) {
      if (axis != left_out && axes_[t][axis] >= 0) tensor = Product(maps[axes_[t][axis]], tensor, axis);
    }
    return tensor;
  }
  Weights Place(int64_t m, const Maps& maps) const {
    Weights placed;
    for (size_t t = 0; t < axes_.size(); ++t) placed.push_back(PlaceTensor(m, t, maps, -1));
    return placed;
  }

  std::vector<std::string> ids_;
  std::vector<int64_t> sizes_;
  std::vector<std::vector<int64_t>> axes_;  // of each tensor: the index of each axis' id, or -1
  int degree_ = 0;                          // most permuted axes of a tensor
  std::vector<Weights> networks_;
  std::vector<Maps> maps_;
  std::vector<Weights> placed_;  // X of each network
  Weights sum_;                  // of all X
};

/// Chebyshev's points on [0, 1], ends included: interpolation through them is well conditioned.
std::vector<double> Nodes(int degree) {
  std::vector<double> nodes;
  for (int k = 0; k <= degree; ++k) nodes.push_back((1 - std::cos(std::numbers::pi * k / degree)) / 2);
  return nodes;
}

double Interpolate(const std::vector<double>& nodes, const std::vector<double>& values, double x) {
  double sum = 0;
  for (size_t i = 0; i < nodes.size(); ++i) {
    double term = values[i];
    for (size_t j = 0; j < nodes.size(); ++j) {
      if (j != i) term *= (x - nodes[j]) / (nodes[i] - nodes[j]);
    }
    sum += term;
  }
  return sum;
}

/// Where in [0, 1] the polynomial through these values is largest, to 1e-3; the shortest step among equals.
double BestStep(const std::vector<double>& nodes, const std::vector<double>& values) {
  double best = 0, highest = values[0];
  for (int k = 1; k <= 1000; ++k) {
    const double value = k == 1000 ? values.back() : Interpolate(nodes, values, k / 1000.0);
    if (value > highest) highest = value, best = k / 1000.0;
  }
  return best;
}

}  // namespace

UniverseMatching MatchUniverse(const models::PermutationSpec& spec, std::span<const models::StateDict> networks, const UniverseOptions& options,
                               const TaskShare& share) {
  const torch::NoGradGuard no_grad;
  BASIN_CHECK(!networks.empty(), "matching through a universe: no network");
  Universe universe(spec, networks);
  const std::vector<Maps> start = universe.maps();
  UniverseMatching result{.objective_before = universe.Objective(start)};
  const std::vector<double> nodes = Nodes(universe.degree());
  double objective = result.objective_before;
  for (int idle = 0; idle < options.patience && result.iterations < options.max_iterations; ++result.iterations) {
    universe.Look();
    const auto targets = universe.Targets(share(universe.num_networks() * universe.num_ids(), universe.most_units(), [&](int64_t task) {
      return universe.Direction(task / universe.num_ids(), task % universe.num_ids());
    }));
    std::vector<double> values;
    for (const auto& row : share(std::ssize(nodes), 1, [&](int64_t k) { return std::vector{universe.Objective(universe.Towards(targets, nodes[k]))}; })) {
      values.push_back(row[0]);
    }
    const double step = BestStep(nodes, values);
    if (step == 0) break;  // a stationary point
    universe.Set(universe.Towards(targets, step));
    const double now = Interpolate(nodes, values, step);
    idle = now - objective < options.least_gain * std::abs(objective) ? idle + 1 : 0;
    objective = now;
  }
  result.permutations = universe.Round();
  result.objective_after = universe.Objective(universe.AsMaps(result.permutations));
  if (result.objective_after < result.objective_before) {
    universe.Set(start);
    result.permutations = universe.Round();
    result.objective_after = result.objective_before;
  }
  return result;
}

}  // namespace basin::merge
