#include "merge/weight_matching.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/seed.h"
#include "merge/assignment.h"
#include "merge/average.h"
#include "merge/match.h"
#include "merge/weight_gains.h"

namespace basin::merge {
namespace {

std::vector<int64_t> AsOrder(const torch::Tensor& permutation) {
  const torch::Tensor host = permutation.to(torch::kCPU, torch::kInt64).contiguous();
  return {host.const_data_ptr<int64_t>(), host.const_data_ptr<int64_t>() + host.numel()};
}

/// In float64.
double DotProduct(const torch::Tensor& a, const torch::Tensor& b) {
  constexpr int64_t kBlock = 1 << 14;  // copies of so many stay in the second-level cache
  const torch::Tensor x = a.flatten(), y = b.flatten();
  double sum = 0;
  for (int64_t begin = 0; begin < x.numel(); begin += kBlock) {
    const int64_t end = std::min(begin + kBlock, x.numel());
    sum += at::dot(x.slice(0, begin, end).to(torch::kFloat64), y.slice(0, begin, end).to(torch::kFloat64)).item<double>();
  }
  return sum;
}

/// Classes of ids that share no tensor: each id, in order, joins the first class without a neighbour.
std::vector<std::vector<int64_t>> Colour(const std::vector<std::vector<int64_t>>& neighbours) {
  std::vector<int64_t> colour(neighbours.size(), -1);
  std::vector<std::vector<int64_t>> classes;
  for (size_t p = 0; p < neighbours.size(); ++p) {
    std::vector<bool> taken(classes.size() + 1, false);
    for (const int64_t q : neighbours[p]) {
      if (colour[q] >= 0) taken[colour[q]] = true;
    }
    colour[p] = std::find(taken.begin(), taken.end(), false) - taken.begin();
    if (colour[p] == std::ssize(classes)) classes.emplace_back();
    classes[colour[p]].push_back(static_cast<int64_t>(p));
  }
  return classes;
}

/// One search.
class Descent {
 public:
  Descent(const MatchedWeights& weights, const WeightMatchingOptions& options, int start)
      : weights_(weights), options_(options), start_(start), gains_(weights) {
    for (size_t p = 0; p < weights.ids().size(); ++p) {
      orders_.emplace_back(weights.sizes()[p]);
      std::iota(orders_[p].begin(), orders_[p].end(), int64_t{0});
      const auto warm = options.warm.find(weights.ids()[p]);
      if (warm != options.warm.end()) orders_[p] = AsOrder(warm->second);
    }
    if (options.coloured) {
      groups_ = Colour(weights.neighbours());
    } else {
      for (int64_t p = 0; p < std::ssize(weights.ids()); ++p) groups_.push_back({p});
    }
  }

  void Run() {
    for (bool progress = true; progress;) {
      if (sweeps_ == options_.max_sweeps) {
        converged_ = false;
        return;
      }
      progress = Sweep(sweeps_++);
    }
  }

  const UnitOrders& orders() const { return orders_; }
  const std::vector<Matching::Step>& steps() const { return steps_; }
  int sweeps() const { return sweeps_; }
  bool converged() const { return converged_; }

 private:
  bool Sweep(int sweep) {
    const base::StreamId stream{options_.seed, base::Purpose::kMatchOrder, static_cast<uint64_t>(start_), static_cast<uint64_t>(sweep)};
    const size_t before = steps_.size();
    for (const int64_t group : base::RandomPermutation(std::ssize(groups_), stream)) {
      const std::vector<int64_t>& members = groups_[group];
      std::vector<double> gained(members.size(), 0);
      const auto improve = [&](int64_t begin, int64_t end) {
        for (int64_t k = begin; k < end; ++k) gained[k] = Improve(members[k]);
      };
      if (members.size() == 1) {
        improve(0, 1);  // LibTorch's threads are for the products then
      } else {
        at::parallel_for(0, std::ssize(members), 1, improve);
      }
      for (size_t k = 0; k < members.size(); ++k) {
        if (gained[k] > 0) steps_.push_back({weights_.ids()[members[k]], gained[k]});
      }
    }
    return steps_.size() > before;
  }

  /// The best permutation of one id, the others fixed. Returns what is gained, 0 when it stays as it is.
  double Improve(int64_t p) {
    if (!gains_.Update(p, orders_)) return 0;  // the same problem as last time
    const std::span<const double> gains = gains_.gains(p);
    const int64_t n = weights_.sizes()[p];
    const auto total = [&](const std::vector<int64_t>& order) {
      double sum = 0;
      for (int64_t i = 0; i < n; ++i) sum += gains[i * n + order[i]];
      return sum;
    };
    std::vector<int64_t> best = MaximiseAssignment(gains, n);
    const double before = total(orders_[p]), after = total(best);
    if (after <= before + 1e-12 * std::max(1.0, std::abs(before))) return 0;
    orders_[p] = std::move(best);
    return after - before;
  }

  const MatchedWeights& weights_;
  const WeightMatchingOptions& options_;
  const int start_;
  WeightGains gains_;
  UnitOrders orders_;
  std::vector<std::vector<int64_t>> groups_;
  std::vector<Matching::Step> steps_;
  int sweeps_ = 0;
  bool converged_ = true;
};

/// Ids and their sizes, ascending.
struct Units {
  explicit Units(const std::map<std::string, int64_t>& units) {
    for (const auto& [id, size] : units) {
      ids.push_back(id);
      sizes.push_back(size);
    }
  }
  std::vector<std::string> ids;
  std::vector<int64_t> sizes;
};

models::Permutations AsPermutations(const Units& units, const UnitOrders& orders) {
  models::Permutations permutations;
  for (size_t p = 0; p < orders.size(); ++p) permutations[units.ids[p]] = torch::tensor(at::ArrayRef<int64_t>(orders[p]));
  return permutations;
}

/// A search as a row of numbers, all of them exact, so that it can travel: sweeps, converged, number of steps, orders, then
/// (id, gain) of the steps.
constexpr size_t kHead = 3;

struct Layout {
  Layout(const Units& units, int max_sweeps)
      : places(std::accumulate(units.sizes.begin(), units.sizes.end(), int64_t{0})), most_steps(max_sweeps * std::ssize(units.ids)) {}
  int64_t length() const { return static_cast<int64_t>(kHead) + places + 2 * most_steps; }
  int64_t places, most_steps;
};

std::vector<double> Pack(const Descent& descent, const Units& units, const Layout& layout) {
  std::vector<double> row{static_cast<double>(descent.sweeps()), descent.converged() ? 1.0 : 0.0, static_cast<double>(descent.steps().size())};
  for (const auto& order : descent.orders()) row.insert(row.end(), order.begin(), order.end());
  for (const Matching::Step& step : descent.steps()) {
    const auto id = std::lower_bound(units.ids.begin(), units.ids.end(), step.id) - units.ids.begin();
    row.insert(row.end(), {static_cast<double>(id), step.gain});
  }
  row.resize(static_cast<size_t>(layout.length()), 0);
  return row;
}

Matching Unpack(const std::vector<double>& row, const Units& units) {
  Matching matching;
  matching.sweeps = static_cast<int>(row[0]);
  matching.converged = row[1] != 0;
  UnitOrders orders;
  auto at = row.begin() + kHead;
  for (const int64_t size : units.sizes) {
    orders.emplace_back(at, at + size);
    at += size;
  }
  matching.permutations = AsPermutations(units, orders);
  for (int64_t k = 0; k < static_cast<int64_t>(row[2]); ++k, at += 2) {
    matching.steps.push_back({units.ids[static_cast<size_t>(at[0])], at[1]});
  }
  return matching;
}

/// Refuses networks that differ in a tensor, and a warm start that is no permutation of the specification's units.
void CheckPair(const models::PermutationSpec& spec, const NetworkPair& pair, const models::Permutations& warm) {
  const std::array both{pair.a, pair.b};
  MatchStates(both);
  if (!warm.empty()) models::ApplyPermutations(spec, warm, *pair.b);
}

Matching BestOf(std::span<const std::vector<double>> starts, const Units& units, const models::PermutationSpec& spec, const NetworkPair& pair) {
  Matching best;
  models::StateDict fitted;
  for (size_t start = 0; start < starts.size(); ++start) {
    Matching found = Unpack(starts[start], units);
    models::StateDict state = models::ApplyPermutations(spec, found.permutations, *pair.b);
    found.start = static_cast<int>(start);
    found.objective_after = WeightObjective(spec, *pair.a, state);
    if (start > 0 && found.objective_after <= best.objective_after) continue;
    best = std::move(found);
    fitted = std::move(state);
  }
  best.objective_before = WeightObjective(spec, *pair.a, *pair.b);
  best.distance_squared_before = DistanceSquared(*pair.a, *pair.b);
  best.distance_squared_after = DistanceSquared(*pair.a, fitted);
  return best;
}

}  // namespace

double WeightObjective(const models::PermutationSpec& spec, const models::StateDict& a, const models::StateDict& b) {
  const torch::NoGradGuard no_grad;
  const std::array<const models::StateDict*, 2> both{&a, &b};
  double sum = 0;
  for (const Versions& versions : MatchStates(both)) {
    if (!spec.axes().contains(versions.name) || models::IsBatchNormStatistic(versions.name)) continue;
    if (!versions.tensors[0].is_floating_point()) continue;
    sum += DotProduct(versions.tensors[0], versions.tensors[1]);
  }
  return sum;
}

Matching MatchWeights(const models::PermutationSpec& spec, const models::StateDict& a, const models::StateDict& b,
                      const WeightMatchingOptions& options, const TaskShare& share) {
  return MatchWeightsOfPairs(spec, std::array{NetworkPair{&a, &b}}, options, share)[0];
}

std::vector<Matching> MatchWeightsOfPairs(const models::PermutationSpec& spec, std::span<const NetworkPair> pairs,
                                          const WeightMatchingOptions& options, const TaskShare& share) {
  BASIN_CHECK(options.starts >= 1 && options.max_sweeps >= 0, "weight matching: ", options.starts, " starts, ", options.max_sweeps, " sweeps");
  if (pairs.empty()) return {};
  const Units units(models::ValidateSpec(spec, *pairs[0].a));
  for (const NetworkPair& pair : pairs) CheckPair(spec, pair, options.warm);
  const Layout layout(units, options.max_sweeps);
  std::optional<MatchedWeights> weights;
  int64_t prepared = -1;
  const auto rows = share(std::ssize(pairs) * options.starts, layout.length(), [&](int64_t task) {
    const int64_t pair = task / options.starts;
    if (pair != prepared) weights.emplace(spec, *pairs[pair].a, *pairs[pair].b);
    prepared = pair;
    Descent descent(*weights, options, static_cast<int>(task % options.starts));
    descent.Run();
    return Pack(descent, units, layout);
  });
  weights.reset();
  std::vector<Matching> found;
  for (size_t pair = 0; pair < pairs.size(); ++pair) {
    found.push_back(BestOf(std::span(rows).subspan(pair * options.starts, options.starts), units, spec, pairs[pair]));
  }
  return found;
}

}  // namespace basin::merge
