// Weight matching: seconds, sweeps and objective on pairs of networks, and the share of planted permutations that are found.
//
//   bench_weight_matching                      a table of seconds; --dump DIR writes what bench/peers/weight_matching.py needs
//   bench_weight_matching --planted 100        E1: networks with shuffled copies of themselves, so many trials each
#include <ATen/Parallel.h>

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/files.h"
#include "base/json.h"
#include "base/memory.h"
#include "merge/weight_matching.h"
#include "tests/support/permuted.h"

namespace basin {
namespace {

using models::ModelOptions;
using models::StateDict;

struct Case {
  std::string label;
  ModelOptions model;
  models::InputShape input{3, 32, 32};
};

ModelOptions ResNet20(double width) { return {.name = "resnet20", .width = width}; }
Case Mlp() { return {"mlp 784-512x3-10", {.name = "mlp", .norm = models::Norm::kNone}, {1, 28, 28}}; }

struct Pair {
  models::PermutationSpec spec;
  StateDict a, b;
};

/// B: units of share * A + sqrt(1 - share^2) * another network, shuffled; biases and gains alike.
Pair MakePair(const Case& network, double share, uint64_t seed) {
  const auto model = tests::RoughModel(network.model, network.input, 2000 * seed), other = tests::RoughModel(network.model, network.input, 2000 * seed + 1000);
  Pair pair{model->symmetry(), models::CloneState(models::StateOf(*model)), {}};
  StateDict mixed = models::CloneState(models::StateOf(*other));
  for (size_t t = 0; t < mixed.size(); ++t) {
    if (!mixed[t].tensor.is_floating_point()) continue;
    mixed[t].tensor.mul_(std::sqrt(1 - share * share)).add_(pair.a[t].tensor, share);
  }
  pair.b = models::ApplyPermutations(pair.spec, tests::RandomPermutations(pair.spec, mixed, seed), mixed);
  return pair;
}

/// Networks, specification and the order in which ids are visited, for another program.
void Dump(const std::filesystem::path& folder, const Pair& pair, uint64_t seed) {
  std::filesystem::create_directories(folder);
  models::SaveState(folder / "a.safetensors", pair.a);
  models::SaveState(folder / "b.safetensors", pair.b);
  base::Json task{{"axes", base::Json::object()}, {"ids", base::Json::array()}, {"orders", base::Json::array()}};
  for (const auto& [tensor, axes] : pair.spec.axes()) {
    if (!models::IsBatchNormStatistic(tensor)) task["axes"][tensor] = axes;
  }
  const auto sizes = models::ValidateSpec(pair.spec, pair.a);
  for (const auto& [id, size] : sizes) task["ids"].push_back(id);
  for (uint64_t sweep = 0; sweep < 100; ++sweep) {
    task["orders"].push_back(base::RandomPermutation(std::ssize(sizes), {seed, base::Purpose::kMatchOrder, 0, sweep}));
  }
  base::WriteJson(folder / "task.json", task);
}

void Time(const std::string& dump, int repeats, bool coloured) {
  const base::SystemClock clock;
  const std::vector<Case> networks{Mlp(), {"resnet20 x4", ResNet20(4)}, {"resnet20 x8", ResNet20(8)}};
  for (const Case& network : networks) {
    for (const double share : {0.0, 0.3}) {
      const Pair pair = MakePair(network, share, 1);
      double best = 1e300;
      merge::Matching found;
      for (int repeat = 0; repeat < repeats; ++repeat) {
        const base::Stopwatch watch(clock);
        found = merge::MatchWeights(pair.spec, pair.a, pair.b, {.seed = 1, .coloured = coloured});
        best = std::min(best, watch.Seconds());
      }
      const std::string name = network.model.name + Text("_x", network.model.width, "_", share);
      if (!dump.empty()) Dump(std::filesystem::path(dump) / name, pair, 1);
      std::cout << base::Json{{"who", "basin"}, {"network", network.label}, {"folder", name}, {"share", share}, {"seconds", best}, {"sweeps", found.sweeps},
                              {"objective", found.objective_after}, {"before", found.objective_before}}.dump()
                << std::endl;
    }
  }
}

void CountPlanted(int64_t trials) {
  const std::vector<Case> networks{Mlp(), {"resnet20 x1", ResNet20(1)}, {"resnet20 x2", ResNet20(2)}, {"resnet20 x4", ResNet20(4)}};
  const base::SystemClock clock;
  for (const Case& network : networks) {
    int64_t exact = 0;
    double sweeps = 0, seconds = 0;
    for (int64_t trial = 0; trial < trials; ++trial) {
      const Pair pair = MakePair(network, 1, static_cast<uint64_t>(trial));
      const base::Stopwatch watch(clock);
      const merge::Matching found = merge::MatchWeights(pair.spec, pair.a, pair.b, {.seed = static_cast<uint64_t>(trial)});
      seconds += watch.Seconds();
      sweeps += found.sweeps;
      exact += tests::SameBits(models::ApplyPermutations(pair.spec, found.permutations, pair.b), pair.a);
    }
    const auto count = static_cast<double>(trials);
    std::cout << base::Json{{"network", network.label}, {"trials", trials}, {"exact", exact}, {"mean_sweeps", sweeps / count}, {"mean_seconds", seconds / count}}.dump()
              << std::endl;
  }
}

void Run(int argc, char** argv) {
  std::string dump;
  int64_t planted = 0;
  int repeats = 3;
  bool coloured = false;
  for (int i = 1; i < argc; i += 2) {
    const std::string name = argv[i];
    if (i + 1 == argc) throw ConfigError(name + " needs a value");
    if (name == "--dump") {
      dump = argv[i + 1];
    } else if (name == "--planted") {
      planted = std::stoll(argv[i + 1]);
    } else if (name == "--repeats") {
      repeats = std::stoi(argv[i + 1]);
    } else if (name == "--order") {
      coloured = std::string(argv[i + 1]) == "coloured";
    } else {
      throw ConfigError(name + " is not known; allowed: --planted --dump --repeats --order sequential|coloured");
    }
  }
  base::KeepFreedMemory();  // as basin does
  at::set_num_threads(coloured ? at::get_num_threads() : 1);
  planted > 0 ? CountPlanted(planted) : Time(dump, repeats, coloured);
}

}  // namespace
}  // namespace basin

int main(int argc, char** argv) {
  try {
    basin::Run(argc, argv);
  } catch (const std::exception& failure) {
    std::cerr << failure.what() << '\n';
    return 2;
  }
}
