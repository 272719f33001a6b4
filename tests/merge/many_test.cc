// MatchMany and MatchUniverse: three and more networks.
#include "merge/many.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "merge/average.h"
#include "merge/universe.h"
#include "tests/support/permuted.h"

namespace basin::merge {
namespace {

using models::Permutations;
using models::PermutationSpec;
using models::StateDict;

struct Family {
  PermutationSpec spec;
  std::vector<StateDict> networks;
};

/// Networks that differ from one by noise, each with its units shuffled.
Family Shuffled(const models::ModelOptions& options, int count, double noise) {
  const models::InputShape image{3, 8, 8};
  const auto first = tests::RoughModel(options, image, 1);
  Family family{first->symmetry(), {}};
  for (int k = 0; k < count; ++k) {
    StateDict network = models::CloneState(models::StateOf(*first));
    const auto other = tests::RoughModel(options, image, 1000 * (k + 2));
    const StateDict far = models::StateOf(*other);
    for (size_t t = 0; t < network.size(); ++t) {
      if (network[t].tensor.is_floating_point()) network[t].tensor.add_(noise * (far[t].tensor - far[t].tensor.mean()));
    }
    family.networks.push_back(models::ApplyPermutations(family.spec, tests::RandomPermutations(family.spec, network, k), network));
  }
  return family;
}

models::ModelOptions Mlp() { return {.name = "mlp", .hidden = {24, 20}}; }

std::vector<StateDict> Applied(const Family& family, const std::vector<Permutations>& permutations) {
  std::vector<StateDict> moved;
  for (size_t k = 0; k < permutations.size(); ++k) moved.push_back(models::ApplyPermutations(family.spec, permutations[k], family.networks[k]));
  return moved;
}

void ExpectSame(const std::vector<Permutations>& a, const std::vector<Permutations>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t k = 0; k < a.size(); ++k) {
    ASSERT_EQ(a[k].size(), b[k].size());
    for (const auto& [id, pi] : a[k]) EXPECT_TRUE(torch::equal(pi, b[k].at(id))) << "network " << k << ", " << id;
  }
}

/// Tasks in another order, as on other ranks.
TaskShare Backwards() {
  return [](int64_t count, int64_t, const auto& task) {
    std::vector<std::vector<double>> rows(static_cast<size_t>(count));
    for (int64_t t = count; t-- > 0;) rows[t] = task(t);
    return rows;
  };
}

TEST(MatchMany, BringsShuffledCopiesTogether) {
  const Family family = Shuffled(Mlp(), 4, 0);
  const ManyMatching found = MatchMany(family.spec, family.networks);
  EXPECT_TRUE(found.converged);
  EXPECT_LT(ConsensusDistanceSquared(Applied(family, found.permutations)), 1e-9 * ConsensusDistanceSquared(family.networks));
}

TEST(MatchMany, EndsWhereNoNetworkComesNearerToTheOthers) {
  const Family family = Shuffled(Mlp(), 3, 0.5);
  const ManyMatching found = MatchMany(family.spec, family.networks, {.seed = 3});
  const auto moved = Applied(family, found.permutations);
  EXPECT_LT(ConsensusDistanceSquared(moved), ConsensusDistanceSquared(family.networks));
  EXPECT_EQ(MatchMany(family.spec, moved, {.seed = 3, .starts = 1}).rounds, 1);
}

TEST(MatchMany, LeavesOneNetworkAsItIs) {
  const Family family = Shuffled(Mlp(), 1, 0);
  const ManyMatching found = MatchMany(family.spec, family.networks);
  EXPECT_EQ(found.rounds, 0);
  EXPECT_TRUE(found.permutations[0].empty());
}

TEST(MatchMany, GivesTheSameWhoeverDoesTheTasks) {
  const Family family = Shuffled(Mlp(), 3, 1);
  const ManyOptions options{.seed = 2, .starts = 3};
  ExpectSame(MatchMany(family.spec, family.networks, options).permutations, MatchMany(family.spec, family.networks, options, Backwards()).permutations);
}

TEST(MatchMany, SaysWhenItRanOutOfRounds) {
  const Family family = Shuffled(Mlp(), 3, 1);
  EXPECT_FALSE(MatchMany(family.spec, family.networks, {.max_rounds = 1}).converged);
}

double PairwiseObjective(const PermutationSpec& spec, const std::vector<StateDict>& networks) {
  double sum = 0;
  for (size_t p = 0; p < networks.size(); ++p) {
    for (size_t q = p + 1; q < networks.size(); ++q) sum += WeightObjective(spec, networks[p], networks[q]);
  }
  return sum;
}

TEST(MatchUniverse, RaisesTheObjectiveOfAllPairs) {
  for (const models::ModelOptions& options : {Mlp(), models::ModelOptions{.name = "resnet20", .width = 0.25}}) {
    const Family family = Shuffled(options, 3, 0.3);
    const UniverseMatching found = MatchUniverse(family.spec, family.networks);
    EXPECT_GT(found.objective_after, found.objective_before);
    EXPECT_NEAR(found.objective_before, PairwiseObjective(family.spec, family.networks), 1e-8 * std::abs(found.objective_before));
    EXPECT_NEAR(found.objective_after, PairwiseObjective(family.spec, Applied(family, found.permutations)), 1e-8 * std::abs(found.objective_after));
  }
}

TEST(MatchUniverse, BringsShuffledCopiesTogether) {
  const Family family = Shuffled(Mlp(), 3, 0);
  const UniverseMatching found = MatchUniverse(family.spec, family.networks);
  EXPECT_LT(ConsensusDistanceSquared(Applied(family, found.permutations)), 1e-9 * ConsensusDistanceSquared(family.networks));
}

TEST(MatchUniverse, LeavesEqualNetworksAsTheyAre) {
  Family family = Shuffled(Mlp(), 1, 0);
  family.networks.resize(3, family.networks[0]);
  const UniverseMatching found = MatchUniverse(family.spec, family.networks);
  for (const Permutations& network : found.permutations) {
    for (const auto& [id, pi] : network) EXPECT_TRUE(torch::equal(pi, torch::arange(pi.numel()))) << id;
  }
}

TEST(MatchUniverse, GivesTheSameWhoeverDoesTheTasks) {
  const Family family = Shuffled(Mlp(), 3, 1);
  ExpectSame(MatchUniverse(family.spec, family.networks).permutations, MatchUniverse(family.spec, family.networks, {}, Backwards()).permutations);
}

}  // namespace
}  // namespace basin::merge
