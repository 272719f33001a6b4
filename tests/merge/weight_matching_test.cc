#include "merge/weight_matching.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "merge/average.h"
#include "merge/weight_gains.h"
#include "tests/support/permuted.h"

namespace basin::merge {
namespace {

using models::ModelOptions;
using models::Permutations;
using models::PermutationSpec;
using models::StateDict;
using tests::RandomPermutations;
using tests::RandomTensor;
using tests::RoughModel;
using tests::SameBits;

const models::InputShape kImage{3, 8, 8};

ModelOptions SmallMlp() { return {.name = "mlp", .norm = models::Norm::kBatch, .hidden = {24, 20, 16}}; }
ModelOptions SmallResNet() { return {.name = "resnet20", .width = 0.5}; }

bool IsIdentity(const Permutations& permutations) {
  return std::all_of(permutations.begin(), permutations.end(),
                     [](const auto& entry) { return torch::equal(entry.second, torch::arange(entry.second.numel())); });
}

bool Same(const Permutations& a, const Permutations& b) {
  return a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(), [](const auto& x, const auto& y) { return x.first == y.first && torch::equal(x.second, y.second); });
}

struct Pair {
  PermutationSpec spec;
  StateDict a, b;
};
/// b: a with noise of `noise` times the usual weight, units shuffled.
Pair Planted(const ModelOptions& options, double noise, uint64_t seed) {
  const auto model = RoughModel(options, kImage, seed), other = RoughModel(options, kImage, seed + 1000);
  Pair pair{model->symmetry(), models::CloneState(models::StateOf(*model)), {}};
  StateDict near = models::CloneState(pair.a);
  const StateDict far = models::StateOf(*other);
  for (size_t t = 0; t < near.size(); ++t) {
    if (near[t].tensor.is_floating_point()) near[t].tensor.add_(noise * (far[t].tensor - far[t].tensor.mean()));
  }
  pair.b = models::ApplyPermutations(pair.spec, RandomPermutations(pair.spec, near, seed), near);
  return pair;
}
Pair Unrelated(const ModelOptions& options, uint64_t seed) {
  const auto a = RoughModel(options, kImage, seed), b = RoughModel(options, kImage, seed + 500);
  return {a->symmetry(), models::CloneState(models::StateOf(*a)), models::CloneState(models::StateOf(*b))};
}

TEST(MatchWeights, KeepsTheFunctionInTrainingAndInUse) {
  for (const ModelOptions& options : {SmallMlp(), SmallResNet()}) {
    const auto model = RoughModel(options, kImage, 1), other = RoughModel(options, kImage, 2);
    const auto found = MatchWeights(model->symmetry(), models::StateOf(*model), models::StateOf(*other));
    const auto moved = RoughModel(options, kImage, 3);
    models::LoadState(*moved, models::ApplyPermutations(model->symmetry(), found.permutations, models::StateOf(*other)));
    moved->to(torch::kFloat64);
    other->to(torch::kFloat64);
    const torch::Tensor x = RandomTensor({4, 3, 8, 8}, 2).to(torch::kFloat64);
    const torch::NoGradGuard no_grad;
    for (const bool training : {false, true}) {
      moved->train(training);
      other->train(training);
      // Sums over units in another order, in float64.
      EXPECT_LT(tests::RelativeDifference(moved->forward(x), other->forward(x)), 1e-9) << options.name << (training ? ", train" : ", eval");
    }
  }
}

TEST(MatchWeights, OfOneHiddenLayerConvergesInOneStep) {
  const ModelOptions options{.name = "mlp", .norm = models::Norm::kNone, .hidden = {40}};
  const Pair pair = Unrelated(options, 3);
  const Matching found = MatchWeights(pair.spec, pair.a, pair.b);
  EXPECT_EQ(found.steps.size(), 1u);
  EXPECT_EQ(found.sweeps, 2) << "the second finds nothing";
  EXPECT_TRUE(found.converged);
}

TEST(MatchWeights, FindsAPlantedPermutation) {
  for (const ModelOptions& options : {SmallMlp(), SmallResNet(), ModelOptions{.name = "resnet20", .width = 0.5, .norm = models::Norm::kLayer}}) {
    for (uint64_t seed = 0; seed < 3; ++seed) {
      const Pair pair = Planted(options, 0, seed);
      const Matching found = MatchWeights(pair.spec, pair.a, pair.b, {.seed = seed});
      EXPECT_TRUE(SameBits(models::ApplyPermutations(pair.spec, found.permutations, pair.b), pair.a)) << options.name << ", seed " << seed;
      EXPECT_EQ(found.distance_squared_after, 0);
    }
  }
}

TEST(MatchWeights, OnlyEverGains) {
  for (const ModelOptions& options : {SmallMlp(), SmallResNet()}) {
    const Pair pair = Unrelated(options, 5);
    double objective = WeightObjective(pair.spec, pair.a, pair.b), distance = DistanceSquared(pair.a, pair.b);
    for (int sweeps = 1; sweeps <= 4; ++sweeps) {
      const Matching found = MatchWeights(pair.spec, pair.a, pair.b, {.max_sweeps = sweeps});
      EXPECT_GE(found.objective_after, objective - 1e-9);
      EXPECT_LE(found.distance_squared_after, distance + 1e-9);
      objective = found.objective_after, distance = found.distance_squared_after;
      double sum = found.objective_before;
      for (const Matching::Step& step : found.steps) {
        EXPECT_GT(step.gain, 0);
        sum += step.gain;
      }
      // The steps tell all: corrected products have not drifted from the truth.
      EXPECT_NEAR(sum, found.objective_after, 1e-9 * std::abs(found.objective_after));
    }
  }
}

TEST(MatchWeights, BringsNetworksNearerByTwiceWhatItGains) {
  const Pair pair = Unrelated(SmallResNet(), 6);
  const Matching found = MatchWeights(pair.spec, pair.a, pair.b);
  EXPECT_NEAR(found.distance_squared_before - found.distance_squared_after, 2 * (found.objective_after - found.objective_before),
              1e-6 * found.distance_squared_before);
}

TEST(MatchWeights, OfANetworkWithItselfIsTheIdentity) {
  for (const ModelOptions& options : {SmallMlp(), SmallResNet()}) {
    const Pair pair = Unrelated(options, 7);
    const Matching found = MatchWeights(pair.spec, pair.a, pair.a);
    EXPECT_TRUE(IsIdentity(found.permutations));
    EXPECT_EQ(found.sweeps, 1);
    EXPECT_TRUE(found.steps.empty());
  }
}

TEST(MatchWeights, OfDeadUnitsMovesNone) {
  Pair pair = Unrelated(SmallMlp(), 8);
  for (models::NamedTensor& item : pair.a) item.tensor.zero_();
  EXPECT_TRUE(IsIdentity(MatchWeights(pair.spec, pair.a, pair.b).permutations));
}

// Batch-norm statistics of any size do not turn the matching.
TEST(MatchWeights, DoesNotLookAtStatistics) {
  Pair pair = Unrelated(SmallMlp(), 9);
  const Matching before = MatchWeights(pair.spec, pair.a, pair.b);
  for (StateDict* state : {&pair.a, &pair.b}) {
    for (models::NamedTensor& item : *state) {
      if (models::IsBatchNormStatistic(item.name) && item.tensor.is_floating_point()) item.tensor.mul_(1e6);
    }
  }
  const Matching after = MatchWeights(pair.spec, pair.a, pair.b);
  EXPECT_TRUE(Same(before.permutations, after.permutations));
  EXPECT_EQ(before.objective_after, after.objective_after);
}

/// All choices of permutations of the ids.
void ForAll(const std::map<std::string, int64_t>& sizes, Permutations& chosen, const std::function<void()>& visit) {
  const auto next = std::find_if(sizes.begin(), sizes.end(), [&](const auto& entry) { return !chosen.contains(entry.first); });
  if (next == sizes.end()) return visit();
  std::vector<int64_t> order(static_cast<size_t>(next->second));
  std::iota(order.begin(), order.end(), int64_t{0});
  do {
    chosen[next->first] = torch::tensor(order);
    ForAll(sizes, chosen, visit);
  } while (std::next_permutation(order.begin(), order.end()));
  chosen.erase(next->first);
}

TEST(MatchWeights, WithManyStartsReachesTheBestOfAllPermutationsOfATinyNetwork) {
  const ModelOptions options{.name = "mlp", .norm = models::Norm::kNone, .hidden = {4, 4}};
  for (uint64_t seed = 0; seed < 5; ++seed) {
    const Pair pair = Unrelated(options, 20 + seed);
    double best = -HUGE_VAL;
    Permutations chosen;
    ForAll(models::ValidateSpec(pair.spec, pair.a), chosen, [&] {
      best = std::max(best, WeightObjective(pair.spec, pair.a, models::ApplyPermutations(pair.spec, chosen, pair.b)));
    });
    const Matching found = MatchWeights(pair.spec, pair.a, pair.b, {.starts = 4});
    EXPECT_LE(found.objective_after, best + 1e-9);
    EXPECT_GE(found.objective_after, 0.97 * best) << "coordinate descent ends in local optima, but good ones";
  }
}

// What WeightGains says, from the definition, one pair of units at a time.
TEST(WeightGains, AreInnerProductsOfUnitsAlsoAfterManyChanges) {
  PermutationSpec spec;
  spec.Add("w", {"p", "q", ""});
  spec.Add("cube", {"q", "r", "p"});  // two others
  spec.Add("v", {"r"});
  spec.Add("out", {"", "r"});
  const StateDict a{{"w", RandomTensor({5, 4, 2}, 1)}, {"cube", RandomTensor({4, 3, 5}, 2)}, {"v", RandomTensor({3}, 3)}, {"out", RandomTensor({2, 3}, 4)}};
  const StateDict b{{"w", RandomTensor({5, 4, 2}, 5)}, {"cube", RandomTensor({4, 3, 5}, 6)}, {"v", RandomTensor({3}, 7)}, {"out", RandomTensor({2, 3}, 8)}};
  const MatchedWeights weights(spec, a, b);
  WeightGains gains(weights);
  for (uint64_t round = 0; round < 6; ++round) {
    Permutations permutations = RandomPermutations(spec, b, round / 2);  // the same ones twice
    UnitOrders orders;
    for (const auto& [id, pi] : permutations) orders.emplace_back(pi.const_data_ptr<int64_t>(), pi.const_data_ptr<int64_t>() + pi.numel());
    for (size_t p = 0; p < orders.size(); ++p) {
      EXPECT_EQ(gains.Update(static_cast<int64_t>(p), orders), round % 2 == 0);
      const int64_t n = weights.sizes()[p];
      const auto found = gains.gains(static_cast<int64_t>(p));
      // With B's units shifted by s, sum_i gains[i, i + s] is the part of the objective that p has.
      for (int64_t s = 0; s < n; ++s) {
        double sum = 0, expected = 0;
        Permutations shifted = permutations;
        std::vector<int64_t> order;
        for (int64_t i = 0; i < n; ++i) {
          order.push_back((i + s) % n);
          sum += found[static_cast<size_t>(i * n + order.back())];
        }
        shifted[weights.ids()[p]] = torch::tensor(order);
        const StateDict moved = models::ApplyPermutations(spec, shifted, b);
        for (size_t t = 0; t < a.size(); ++t) {
          const auto& axes = spec.axes().at(a[t].name);
          if (std::find(axes.begin(), axes.end(), weights.ids()[p]) == axes.end()) continue;
          expected += (a[t].tensor.to(torch::kFloat64) * moved[t].tensor.to(torch::kFloat64)).sum().item<double>();
        }
        EXPECT_NEAR(sum, expected, 1e-12);
      }
    }
  }
}

TEST(MatchWeights, BeginsWhereItIsTold) {
  const Pair pair = Planted(SmallMlp(), 0.3, 11);
  const Matching cold = MatchWeights(pair.spec, pair.a, pair.b);
  const Matching warm = MatchWeights(pair.spec, pair.a, pair.b, {.seed = 5, .warm = cold.permutations});
  EXPECT_EQ(warm.sweeps, 1);
  EXPECT_TRUE(Same(warm.permutations, cold.permutations));
  EXPECT_THROW(MatchWeights(pair.spec, pair.a, pair.b, {.warm = {{"nothing", torch::arange(3)}}}), CheckFailed);
}

TEST(MatchWeights, KeepsTheBestOfItsStarts) {
  const Pair pair = Unrelated(SmallMlp(), 12);
  double best = -HUGE_VAL;
  int which = -1;
  for (int starts = 1; starts <= 6; ++starts) {
    const Matching found = MatchWeights(pair.spec, pair.a, pair.b, {.seed = 4, .starts = starts});
    EXPECT_GE(found.objective_after, best);
    if (found.objective_after > best) which = starts - 1;
    EXPECT_EQ(found.start, which);
    best = found.objective_after;
  }
}

TEST(MatchWeights, GivesTheSameWhoeverDoesTheStarts) {
  const Pair pair = Unrelated(SmallResNet(), 13);
  const WeightMatchingOptions options{.seed = 9, .starts = 4};
  int64_t asked = 0;
  const TaskShare backwards = [&](int64_t count, int64_t values, const auto& task) {
    std::vector<std::vector<double>> rows(static_cast<size_t>(count));
    for (int64_t t = count; t-- > 0; ++asked) rows[t] = task(t);
    for (const auto& row : rows) EXPECT_EQ(std::ssize(row), values);
    return rows;
  };
  const Matching here = MatchWeights(pair.spec, pair.a, pair.b, options), shared = MatchWeights(pair.spec, pair.a, pair.b, options, backwards);
  EXPECT_EQ(asked, 4);
  EXPECT_TRUE(Same(here.permutations, shared.permutations));
  EXPECT_EQ(here.objective_after, shared.objective_after);
  EXPECT_EQ(here.start, shared.start);
}

TEST(MatchWeights, ColouredFindsAPlantedPermutationToo) {
  for (const ModelOptions& options : {SmallMlp(), SmallResNet()}) {
    const Pair pair = Planted(options, 0.2, 14);
    const Matching coloured = MatchWeights(pair.spec, pair.a, pair.b, {.coloured = true}), again = MatchWeights(pair.spec, pair.a, pair.b, {.coloured = true});
    EXPECT_TRUE(Same(coloured.permutations, again.permutations));
    EXPECT_TRUE(Same(coloured.permutations, MatchWeights(pair.spec, pair.a, pair.b).permutations));
  }
}

TEST(MatchWeights, SaysWhenItRanOutOfSweeps) {
  const Pair pair = Unrelated(SmallMlp(), 15);
  EXPECT_FALSE(MatchWeights(pair.spec, pair.a, pair.b, {.max_sweeps = 1}).converged);
  EXPECT_TRUE(IsIdentity(MatchWeights(pair.spec, pair.a, pair.b, {.max_sweeps = 0}).permutations));
}

TEST(MatchWeights, RefusesNetworksOfDifferentShape) {
  const Pair pair = Unrelated(SmallMlp(), 16), other = Unrelated({.name = "mlp", .hidden = {24, 20, 17}}, 16);
  EXPECT_THROW(MatchWeights(pair.spec, pair.a, other.b), DataError);
}

}  // namespace
}  // namespace basin::merge
