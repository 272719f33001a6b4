// The ways to permute the units of networks so that they fit each other: the table behind --align of match, merge and lmc.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/json.h"
#include "merge/weight_matching.h"
#include "trainer/laboratory/workshop.h"
#include "trainer/lmc.h"

namespace basin::trainer {

struct AlignOptions {
  std::string method = "none";
  uint64_t seed = 0;  ///< of everything random in it
  int starts = 1;     ///< searches, of which the best counts; for methods that search
  bool coloured = false;  ///< weight: ids that share no tensor are matched at the same time
  std::optional<std::filesystem::path> symmetry{};  ///< a specification (trainer/config/symmetry.h) instead of the configured network's
  // Methods that look at training images, un-augmented:
  int64_t samples = 10000;                    ///< images, drawn by the seed; all when there are fewer
  std::string similarity = "correlation";     ///< activation: "correlation" | "second-moment"
  bool before_relu = false;                   ///< activation: units are compared before their ReLU
  double epochs = 1;                          ///< ste, sinkhorn: passes over the samples
  double lr = 0;                              ///< ste, sinkhorn: learning rate; 0: the method's own
  std::string loss = "midpoint";              ///< sinkhorn: "midpoint" (cross-entropy there) | "distance" (between the weights)
  double ridge = 1e-3;                        ///< cca: added to the covariances, in units of their mean variance
};

/// What a method may use. Borrows everything.
struct AlignTools {
  const models::PermutationSpec& spec;
  Workshop* shop;  ///< null without a configuration; never null for methods that need data
  const AlignOptions& options;
  TaskShare share;
};

/// A network made to fit.
struct Alignment {
  models::StateDict state;
  models::Permutations permutations{};  ///< what it took; empty where a method does more than permute
  base::Json report{};                  ///< objectives, sweeps, ...
};

/// One row. A method that aligns pairs serves all commands; one that aligns all networks together serves merge.
/// The results are the same on every rank, however the tasks were shared.
struct AlignMethod {
  std::string name, help;
  bool needs_data = false;
  /// Each pair's b to its a.
  std::function<std::vector<Alignment>(std::span<const merge::NetworkPair>, const AlignTools&)> pairs{};
  /// All to each other: one a network, the first too.
  std::function<std::vector<Alignment>(std::span<const models::StateDict>, const AlignTools&)> together{};
};

/// `none` is not in it.
const std::vector<AlignMethod>& AlignMethods();
/// "none" and the names of the methods; with `for_pairs` of those that align pairs. For the command line.
std::vector<std::string> AlignNames(bool for_pairs);
/// One line: "none (default) | weight: ... | ...".
std::string AlignHelp(bool for_pairs);

/// The specification of the networks: from the file where the options name one, else the configured network's. ConfigError when there
/// is neither, or when the file's does not fit `state`; DataError when `state` is not one of the configured network.
models::PermutationSpec SpecificationOf(const AlignOptions& options, Workshop* shop, const models::StateDict& state);

/// Every network made to fit: with a method for pairs, each to the first, which stays as it is. `none`: all as they are.
std::vector<Alignment> AlignNetworks(std::span<const models::StateDict> networks, const AlignTools& tools);
/// Each pair's b made to fit its a. ConfigError for a method that has no pairs.
std::vector<Alignment> AlignPairs(std::span<const merge::NetworkPair> pairs, const AlignTools& tools);
/// ConfigError when the method needs data and there is no configuration, or a specification of the user's.
void CheckAlignTools(const AlignOptions& options, const Workshop* shop);

/// {"id": [...], ...}
base::Json PermutationsAsJson(const models::Permutations& permutations);

}  // namespace basin::trainer
