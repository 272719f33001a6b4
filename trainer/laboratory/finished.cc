#include "trainer/laboratory/finished.h"

#include <ATen/Parallel.h>

#include <array>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "base/safetensors.h"
#include "merge/soup.h"
#include "trainer/laboratory/pictures.h"
#include "trainer/laboratory/workshop.h"
#include "trainer/lmc.h"

namespace basin::trainer {
namespace {

base::Json AsJson(const Score& score) { return {{"loss", score.loss}, {"accuracy", score.accuracy}}; }

std::vector<models::StateDict> ReadAll(const ModelFiles& files) {
  std::vector<models::StateDict> states;
  for (const auto& file : files) states.push_back(models::ReadState(file));
  return states;
}

base::Json Names(const ModelFiles& files) {
  base::Json names = base::Json::array();
  for (const auto& file : files) names.push_back(file.string());
  return names;
}

struct NamedSplit {
  std::string name;
  const data::Split* split;
};
std::vector<NamedSplit> Splits(const data::Dataset& dataset) {
  std::vector<NamedSplit> splits{{"train", &dataset.train}};
  if (dataset.validation.size() > 0) splits.push_back({"validation", &dataset.validation});
  splits.push_back({"test", &dataset.test});
  return splits;
}

}  // namespace

base::Json EvaluateFiles(const RunConfig& config, const ModelFiles& files, bool ensemble) {
  Workshop shop(config);
  const auto splits = Splits(*shop.dataset);
  std::vector<torch::Tensor> sums(splits.size());
  base::Json models = base::Json::array();
  for (const auto& file : files) {
    shop.Load(models::ReadState(file), file.string());
    base::Json entry{{"file", file.string()}};
    for (size_t s = 0; s < splits.size(); ++s) {
      const torch::Tensor logits = Logits(*shop.model, shop.bench, *splits[s].split);
      entry[splits[s].name] = AsJson(ScoreLogits(logits, splits[s].split->labels));
      if (ensemble) sums[s] = sums[s].defined() ? sums[s] + logits : logits;
    }
    models.push_back(std::move(entry));
  }
  base::Json report{{"models", std::move(models)}};
  for (size_t s = 0; ensemble && s < splits.size(); ++s) {
    const torch::Tensor mean = sums[s] / static_cast<double>(files.size());
    report["ensemble"][splits[s].name] = AsJson(ScoreLogits(mean, splits[s].split->labels));
  }
  return report;
}

namespace {

/// Everything that can be refused before the work.
models::PermutationSpec PrepareToAlign(const AlignOptions& align, std::optional<Workshop>& shop, const std::vector<models::StateDict>& states) {
  Workshop* const tools = shop ? &*shop : nullptr;
  CheckAlignTools(align, tools);
  for (size_t k = 1; k < states.size(); ++k) merge::DistanceSquared(states[0], states[k]);  // DataError where they differ in a tensor
  return SpecificationOf(align, tools, states[0]);
}

constexpr std::array kMethodNames{"uniform", "greedy-soup", "median", "trimmed-mean"};

merge::AverageOptions AsAverage(const MergeRequest& request) {
  using merge::AverageMethod;
  const auto method = request.method == MergeMethod::kMedian        ? AverageMethod::kMedian
                      : request.method == MergeMethod::kTrimmedMean ? AverageMethod::kTrimmedMean
                                                                    : AverageMethod::kUniform;
  return {.method = method, .weights = request.weights, .trim = request.trim};
}

/// Squared distances of networks from the result.
base::Json Distances(const std::vector<models::StateDict>& networks, const std::filesystem::path& out) {
  const models::StateDict merged = models::ReadState(out);
  base::Json distances = base::Json::array();
  for (const models::StateDict& network : networks) distances.push_back(merge::DistanceSquared(network, merged));
  return distances;
}

/// Each of `of` in the average, sum 1.
std::vector<double> WeightsOf(const MergeRequest& request, size_t networks) {
  std::vector<double> weights(request.weights);
  if (weights.empty()) weights.assign(networks, 1);
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  for (double& weight : weights) weight /= sum;
  return weights;
}

/// Mends the merge of networks `of` that lies in the shop's model.
void MendMerge(Workshop& shop, Mender& mender, const std::vector<size_t>& of, const MergeRequest& request, base::Json& report) {
  if (!request.mending.any()) return;
  const double temperature = mender.Mend(*shop.model, of, WeightsOf(request, of.size()));
  report["mending"] = AsJson(mender.options(), mender.samples());
  report["renorm"] = RenormName(mender.options().renorm);
  if (mender.options().renorm != request.mending.renorm) WarnOfIdleReset();
  if (request.mending.temperature) report["temperature"] = temperature;
}

std::vector<size_t> Numbers(size_t count) {
  std::vector<size_t> numbers(count);
  std::iota(numbers.begin(), numbers.end(), size_t{0});
  return numbers;
}

/// Merges that need data: greedy soup, recomputed statistics. Adds what was chosen to the report.
void MergeWithData(Workshop& shop, Mender& mender, const std::vector<models::StateDict>& states, const std::filesystem::path& out,
                   const MergeRequest& request, base::Json& report) {
  if (request.method == MergeMethod::kGreedySoup) {
    const data::Split& validation = shop.dataset->validation;
    if (validation.size() == 0) {
      throw ConfigError("greedy-soup chooses by validation accuracy, but data.validation is 0; set data.validation, e.g. 0.02");
    }
    const bool reset = request.mending.renorm == MendingOptions::Renorm::kReset;
    const merge::Soup soup = merge::GreedySoup(states, [&](models::StateDict& state) {
      shop.Load(state, "soup");
      if (reset) Recalibrate(*shop.model, shop.bench);
      state = models::CloneState(models::StateOf(*shop.model));
      return Evaluate(*shop.model, shop.bench, validation).accuracy;
    });
    report["chosen"] = soup.chosen;
    report["validation_accuracy"] = soup.score;
    shop.Load(soup.state, "soup");
    if (!reset) MendMerge(shop, mender, {soup.chosen.begin(), soup.chosen.end()}, request, report);
  } else {
    shop.Load(merge::AverageStates(states, AsAverage(request)), "average");
    MendMerge(shop, mender, Numbers(states.size()), request, report);
  }
  models::SaveState(out, models::CloneState(models::StateOf(*shop.model)));
}

}  // namespace

base::Json MergeFiles(const std::optional<RunConfig>& config, const ModelFiles& files, const std::filesystem::path& out,
                      const MergeRequest& request, Crew& crew) {
  const bool needs_data = request.mending.any() || request.method == MergeMethod::kGreedySoup;
  if (needs_data && !config) {
    throw ConfigError("greedy-soup, --renorm, --calibrate-bias and --temperature need data: give a configuration file before the models");
  }
  base::Json report{{"method", kMethodNames[static_cast<size_t>(request.method)]},
                    {"align", request.align.method},
                    {"renorm", RenormName(request.mending.renorm)},
                    {"inputs", Names(files)}};
  std::optional<Workshop> shop;
  const bool aligned = request.align.method != "none";
  std::vector<models::StateDict> states;
  models::PermutationSpec spec;
  crew.Together([&] {
    CheckMending(request.mending);
    if (config) shop.emplace(*config);
    if (aligned || needs_data) states = ReadAll(files);
    if (aligned) spec = PrepareToAlign(request.align, shop, states);
  });
  if (aligned) {
    auto alignments = AlignNetworks(states, {spec, shop ? &*shop : nullptr, request.align, crew.share()});
    for (size_t k = 0; k < states.size(); ++k) {
      report["aligned"].push_back(std::move(alignments[k].report));
      states[k] = std::move(alignments[k].state);
    }
  }
  std::optional<Mender> mender;
  if (needs_data) {
    mender.emplace(request.mending, *shop, states);
    if (request.method != MergeMethod::kGreedySoup) mender->MeasureParents(Numbers(states.size()), crew.share());
  }
  if (!crew.leads()) return nullptr;
  if (needs_data) {
    MergeWithData(*shop, *mender, states, out, request, report);
  } else if (aligned) {
    models::SaveState(out, merge::AverageStates(states, AsAverage(request)));
  } else {
    merge::AverageFiles(files, out, AsAverage(request), {});
  }
  report["distance_squared"] = aligned ? Distances(states, out) : base::Json(merge::DistancesSquared(files, out));
  if (shop) {
    const auto score = [&](const std::filesystem::path& file) {
      shop->Load(models::ReadState(file), file.string());
      return AsJson(Evaluate(*shop->model, shop->bench, shop->dataset->test));
    };
    for (const auto& file : files) report["input_test"].push_back(score(file));
    report["test"] = score(out);
  }
  base::WriteJson(out.string() + ".json", report);
  return report;
}

base::Json MatchFiles(const std::optional<RunConfig>& config, const ModelFiles& files, const std::filesystem::path& out,
                      const AlignOptions& align, Crew& crew) {
  std::optional<Workshop> shop;
  std::vector<models::StateDict> states;
  models::PermutationSpec spec;
  crew.Together([&] {
    if (config) shop.emplace(*config);
    states = ReadAll(files);
    spec = PrepareToAlign(align, shop, states);
  });
  const AlignTools tools{spec, shop ? &*shop : nullptr, align, crew.share()};
  const Alignment found = std::move(AlignPairs(std::array{merge::NetworkPair{&states[0], &states[1]}}, tools)[0]);
  const double before = merge::DistanceSquared(states[0], states[1]), after = merge::DistanceSquared(states[0], found.state);
  base::Json report{{"align", align.method}, {"inputs", Names(files)}};
  report.update(found.report);
  report["distance"] = {{"l2_before", std::sqrt(before)}, {"l2_after", std::sqrt(after)}, {"l2_squared_before", before}, {"l2_squared_after", after}};
  report["permutations"] = PermutationsAsJson(found.permutations);
  crew.Together([&] {
    if (!crew.leads()) return;
    models::SaveState(out, found.state);
    base::WriteJson(out.string() + ".json", report);
  });
  return report;
}

base::Json ConnectFiles(const RunConfig& config, const ModelFiles& files, const MendingOptions& mending, const AlignOptions& align,
                        const std::optional<std::filesystem::path>& folder, Crew& crew) {
  std::optional<Workshop> shop;
  std::vector<models::StateDict> networks;
  models::PermutationSpec spec;
  crew.Together([&] {
    shop.emplace(config);
    networks = ReadAll(files);
    if (align.method != "none") spec = PrepareToAlign(align, shop, networks);
  });
  const auto pairs = ChoosePairs(config.lmc.pairs == LmcOptions::Pairs::kNone ? LmcOptions::Pairs::kAll : config.lmc.pairs,
                                 static_cast<int64_t>(files.size()));
  auto lines = pairs;
  base::Json report{{"files", Names(files)}, {"points", config.lmc.points}, {"align", align.method}};
  if (align.method != "none") {
    std::vector<merge::NetworkPair> ends;
    for (const auto& [a, b] : pairs) ends.push_back({&networks[a], &networks[b]});
    std::vector<Alignment> aligned = AlignPairs(ends, {spec, &*shop, align, crew.share()});
    for (size_t k = 0; k < pairs.size(); ++k) {
      lines[k].second = std::ssize(networks);
      networks.push_back(std::move(aligned[k].state));
      report["aligned"].push_back(std::move(aligned[k].report));
    }
  }
  Mender mender(mending, *shop, networks);
  report["mending"] = AsJson(mender.options(), mender.samples());
  std::vector<PathMending> treatments;
  if (mender.options().any()) {
    treatments.push_back({std::string(RenormName(mending.renorm)), [&](models::Classifier& model, int64_t a, int64_t b, double lambda) {
                            mender.Mend(model, std::array{static_cast<size_t>(a), static_cast<size_t>(b)}, std::array{1 - lambda, lambda});
                          }});
  }
  auto curves = MeasurePairs(networks, lines, config.lmc, shop->bench, *shop->model, crew.share(), treatments);
  for (PairCurve& curve : curves) {
    if (curve.b >= std::ssize(files)) curve.b = pairs[curve.b - std::ssize(files)].second;  // made to fit its a
  }
  report["lmc"] = BarriersAsJson(curves);
  crew.Together([&] {
    if (!folder || !crew.leads()) return;
    std::filesystem::create_directories(*folder);
    base::WriteFileAtomically(*folder / "lmc.csv", CurvesAsCsv(curves));
    base::WriteJson(*folder / "barriers.json", report);
    std::vector<std::string> names;
    for (const auto& file : files) names.push_back(file.stem().string());
    WritePictures(*folder, PicturesOf(curves, names));
  });
  return report;
}

}  // namespace basin::trainer
