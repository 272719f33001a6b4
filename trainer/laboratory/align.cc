#include "trainer/laboratory/align.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/nearest.h"
#include "merge/many.h"
#include "merge/universe.h"
#include "trainer/config/symmetry.h"
#include "trainer/laboratory/align_data.h"

namespace basin::trainer {
namespace {

base::Json MatchingAsJson(const merge::Matching& matching, const AlignOptions& options) {
  return {{"objective", {{"before", matching.objective_before}, {"after", matching.objective_after}}},
          {"sweeps", matching.sweeps},
          {"converged", matching.converged},
          {"seed", options.seed},
          {"starts", options.starts},
          {"coloured", options.coloured},
          {"start", matching.start}};
}

std::vector<Alignment> AlignByWeight(std::span<const merge::NetworkPair> pairs, const AlignTools& tools) {
  const merge::WeightMatchingOptions options{.seed = tools.options.seed, .starts = tools.options.starts, .coloured = tools.options.coloured};
  const auto found = merge::MatchWeightsOfPairs(tools.spec, pairs, options, tools.share);
  std::vector<Alignment> aligned;
  for (size_t pair = 0; pair < pairs.size(); ++pair) {
    aligned.push_back({models::ApplyPermutations(tools.spec, found[pair].permutations, *pairs[pair].b), found[pair].permutations,
                       MatchingAsJson(found[pair], tools.options)});
  }
  return aligned;
}

std::vector<Alignment> Applied(const models::PermutationSpec& spec, std::span<const models::StateDict> networks,
                               const std::vector<models::Permutations>& permutations, const base::Json& report) {
  std::vector<Alignment> aligned;
  for (size_t k = 0; k < networks.size(); ++k) {
    aligned.push_back({models::ApplyPermutations(spec, permutations[k], networks[k]), permutations[k], report});
  }
  return aligned;
}

std::vector<Alignment> AlignMany(std::span<const models::StateDict> networks, const AlignTools& tools) {
  const auto found = merge::MatchMany(tools.spec, networks, {.seed = tools.options.seed, .starts = tools.options.starts}, tools.share);
  return Applied(tools.spec, networks, found.permutations, {{"rounds", found.rounds}, {"converged", found.converged}, {"seed", tools.options.seed}});
}

std::vector<Alignment> AlignThroughUniverse(std::span<const models::StateDict> networks, const AlignTools& tools) {
  const auto found = merge::MatchUniverse(tools.spec, networks, {}, tools.share);
  return Applied(tools.spec, networks, found.permutations,
                 {{"objective", {{"before", found.objective_before}, {"after", found.objective_after}}}, {"iterations", found.iterations}});
}

const AlignMethod& Find(const std::string& name) {
  for (const AlignMethod& method : AlignMethods()) {
    if (method.name == name) return method;
  }
  const auto names = AlignNames(false);
  throw ConfigError(Text("--align ", name, " is not known; allowed: ", base::JoinNames(names)));
}

}  // namespace

const std::vector<AlignMethod>& AlignMethods() {
  static const std::vector<AlignMethod> methods{
      {.name = "weight", .help = "weight matching (Git Re-Basin)", .pairs = AlignByWeight},
      {.name = "activation", .help = "units that do the same on training images", .needs_data = true, .pairs = AlignByActivation},
      {.name = "ste", .help = "learnt from the loss at the midpoint, straight through", .needs_data = true, .pairs = AlignByStraightThrough},
      {.name = "sinkhorn", .help = "the same through doubly stochastic matrices, begun at weight matching's", .needs_data = true, .pairs = AlignBySinkhorn},
      {.name = "many", .help = "each to the mean of the others, until none moves", .together = AlignMany},
      {.name = "universe", .help = "all at once through a common universe (C2M3)", .together = AlignThroughUniverse},
      {.name = "cca", .help = "units mixed linearly (CCA-Merge); merge only, no permutation", .needs_data = true, .together = AlignByCca},
  };
  return methods;
}

std::vector<std::string> AlignNames(bool for_pairs) {
  std::vector<std::string> names{"none"};
  for (const AlignMethod& method : AlignMethods()) {
    if (method.pairs || !for_pairs) names.push_back(method.name);
  }
  return names;
}

std::string AlignHelp(bool for_pairs) {
  std::string help = "none: units are taken as they are";
  for (const AlignMethod& method : AlignMethods()) {
    if (method.pairs || !for_pairs) help += " | " + method.name + ": " + method.help;
  }
  return help;
}

models::PermutationSpec SpecificationOf(const AlignOptions& options, Workshop* shop, const models::StateDict& state) {
  if (options.symmetry) return ReadSymmetry(*options.symmetry, state);
  if (shop == nullptr) {
    throw ConfigError(Text("--align ", options.method, " must know which units belong together: give a configuration with the networks' model before "
                           "the files, or --symmetry FILE (docs/merging.md)"));
  }
  shop->Load(state, "the first network");
  return shop->model->symmetry();
}

void CheckAlignTools(const AlignOptions& options, const Workshop* shop) {
  if (options.method == "none" || !Find(options.method).needs_data) return;
  if (options.symmetry) {
    throw ConfigError(Text("--align ", options.method, " runs the configured network and takes its symmetry; leave --symmetry out"));
  }
  if (shop != nullptr) return;
  throw ConfigError(Text("--align ", options.method, " needs data: give a configuration file before the models"));
}

std::vector<Alignment> AlignPairs(std::span<const merge::NetworkPair> pairs, const AlignTools& tools) {
  const AlignMethod& method = Find(tools.options.method);
  if (!method.pairs) {
    throw ConfigError(Text("--align ", method.name, " is for merge only: it fits all networks to each other, or by more than a permutation; here allowed: ", base::JoinNames(AlignNames(true))));
  }
  return method.pairs(pairs, tools);
}

std::vector<Alignment> AlignNetworks(std::span<const models::StateDict> networks, const AlignTools& tools) {
  std::vector<Alignment> aligned;
  if (tools.options.method == "none") {
    for (const models::StateDict& network : networks) aligned.push_back({network});
    return aligned;
  }
  const AlignMethod& method = Find(tools.options.method);
  if (method.together) return method.together(networks, tools);
  std::vector<merge::NetworkPair> pairs;
  for (size_t k = 1; k < networks.size(); ++k) pairs.push_back({&networks[0], &networks[k]});
  aligned = AlignPairs(pairs, tools);
  aligned.insert(aligned.begin(), Alignment{networks[0]});
  return aligned;
}

base::Json PermutationsAsJson(const models::Permutations& permutations) {
  base::Json json = base::Json::object();
  for (const auto& [id, pi] : permutations) {
    json[id] = std::vector<int64_t>(pi.const_data_ptr<int64_t>(), pi.const_data_ptr<int64_t>() + pi.numel());
  }
  return json;
}

}  // namespace basin::trainer
