#include "trainer/laboratory/align_data.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/error.h"
#include "base/seed.h"
#include "merge/activation_matching.h"
#include "merge/cca.h"
#include "merge/sinkhorn.h"
#include "merge/straight_through.h"

namespace basin::trainer {
namespace {

/// What methods of this kind share: images, and two networks to show them to.
class Show {
 public:
  explicit Show(const AlignTools& tools) : shop_(*tools.shop), options_(tools.options) {
    b_ = MakeClassifier(shop_.config, *shop_.dataset);
    const data::Split& train = shop_.dataset->train;
    if (train.size() == 0) throw ConfigError(Text("--align ", options_.method, " needs training images, and the data set has none"));
    const auto drawn = base::RandomPermutation(train.size(), {options_.seed, base::Purpose::kMatchImages});
    order_ = torch::tensor(at::ArrayRef<int64_t>(drawn.data(), std::min(options_.samples, train.size())), torch::kInt64);
  }

  models::Classifier& a() { return *shop_.model; }
  models::Classifier& b() { return *b_; }
  void Load(const merge::NetworkPair& pair) {
    models::LoadState(a(), *pair.a, "A");
    models::LoadState(b(), *pair.b, "B");
  }
  int64_t samples() const { return order_.numel(); }

  /// A partition that depends on the number of images and evaluate.batch_size alone.
  merge::ImageBatches batches() const {
    const int64_t size = shop_.bench.options.batch_size;
    return {(samples() + size - 1) / size, [this, size](int64_t batch) {
              return Images(order_.slice(0, batch * size, std::min(samples(), (batch + 1) * size)));
            }};
  }

  /// Shuffled anew each epoch; the last, incomplete batch of an epoch is left out.
  merge::TrainingBatches training() const {
    const int64_t size = std::min<int64_t>(shop_.config.train.batch_size, samples());
    const int64_t per_epoch = samples() / size;
    const auto steps = static_cast<int64_t>(std::llround(options_.epochs * static_cast<double>(per_epoch)));
    return {std::max<int64_t>(steps, 1), [this, size, per_epoch](int64_t step) {
              const base::StreamId stream{options_.seed, base::Purpose::kMatchImages, static_cast<uint64_t>(1 + step / per_epoch)};
              const torch::Tensor shuffled = order_.index_select(0, torch::tensor(base::RandomPermutation(samples(), stream)));
              const torch::Tensor indices = shuffled.narrow(0, step % per_epoch * size, size);
              return merge::LabelledBatch{Images(indices), shop_.dataset->train.labels.index_select(0, indices).to(shop_.bench.device)};
            }};
  }

 private:
  torch::Tensor Images(const torch::Tensor& indices) const {
    return data::TakeImages(shop_.dataset->train, shop_.dataset->normalisation, indices, shop_.bench.device,
                            shop_.model->prefers_channels_last());
  }

  Workshop& shop_;
  const AlignOptions& options_;
  std::shared_ptr<models::Classifier> b_;
  torch::Tensor order_;
};

/// Permutations as numbers that travel exactly, and back.
std::vector<double> AsRow(const models::Permutations& permutations) {
  std::vector<double> row;
  for (const auto& [id, pi] : permutations) row.insert(row.end(), pi.const_data_ptr<int64_t>(), pi.const_data_ptr<int64_t>() + pi.numel());
  return row;
}
models::Permutations FromRow(const std::vector<double>& row, const std::map<std::string, int64_t>& sizes) {
  models::Permutations permutations;
  auto at = row.begin();
  for (const auto& [id, n] : sizes) {
    permutations[id] = torch::tensor(at::ArrayRef<int64_t>(std::vector<int64_t>(at, at + n)));
    at += n;
  }
  return permutations;
}

/// What a search that follows a loss found.
struct Learnt {
  models::Permutations permutations;
  double first_loss = 0, best_loss = 0;
};

/// Pairs are the tasks: a search is a chain of steps, so one rank does it.
std::vector<Alignment> AlignByLearning(std::span<const merge::NetworkPair> pairs, const AlignTools& tools, const base::Json& settings,
                                       const std::function<Learnt(const merge::NetworkPair&)>& learn) {
  if (pairs.empty()) return {};
  const auto sizes = models::ValidateSpec(tools.spec, *pairs[0].a);
  int64_t values = 2;
  for (const auto& [id, n] : sizes) values += n;
  const auto rows = tools.share(std::ssize(pairs), values, [&](int64_t pair) {
    const Learnt found = learn(pairs[pair]);
    std::vector<double> row = AsRow(found.permutations);
    row.insert(row.end(), {found.first_loss, found.best_loss});
    return row;
  });
  std::vector<Alignment> aligned;
  for (size_t pair = 0; pair < pairs.size(); ++pair) {
    models::Permutations permutations = FromRow(rows[pair], sizes);
    base::Json report = settings;
    report["loss"] = {{"first", rows[pair][values - 2]}, {"best", rows[pair][values - 1]}};
    aligned.push_back({models::ApplyPermutations(tools.spec, permutations, *pairs[pair].b), std::move(permutations), std::move(report)});
  }
  return aligned;
}

}  // namespace

std::vector<Alignment> AlignByStraightThrough(std::span<const merge::NetworkPair> pairs, const AlignTools& tools) {
  Show show(tools);
  const merge::TrainingBatches batches = show.training();
  const double lr = tools.options.lr > 0 ? tools.options.lr : merge::StraightThroughOptions{}.lr;
  const base::Json settings{{"samples", show.samples()}, {"epochs", tools.options.epochs}, {"steps", batches.steps}, {"lr", lr}, {"seed", tools.options.seed}};
  return AlignByLearning(pairs, tools, settings, [&](const merge::NetworkPair& pair) {
    merge::StraightThrough found =
        merge::MatchStraightThrough(show.a(), *pair.a, *pair.b, batches, {.lr = lr, .seed = tools.options.seed});
    return Learnt{std::move(found.permutations), found.losses.front(), found.losses[found.best_step]};
  });
}

std::vector<Alignment> AlignBySinkhorn(std::span<const merge::NetworkPair> pairs, const AlignTools& tools) {
  Show show(tools);
  const merge::TrainingBatches batches = show.training();
  const double lr = tools.options.lr > 0 ? tools.options.lr : merge::SinkhornOptions{}.lr;
  const bool by_distance = tools.options.loss == "distance";
  const base::Json settings{{"samples", show.samples()}, {"epochs", tools.options.epochs}, {"steps", batches.steps}, {"lr", lr},
                            {"loss_of", tools.options.loss}, {"seed", tools.options.seed}};
  return AlignByLearning(pairs, tools, settings, [&](const merge::NetworkPair& pair) {
    // Begun where weight matching ends.
    const auto warm = merge::MatchWeights(tools.spec, *pair.a, *pair.b, {.seed = tools.options.seed, .starts = tools.options.starts}).permutations;
    merge::SinkhornMatching found = merge::MatchSinkhorn(show.a(), *pair.a, *pair.b, {.lr = lr, .weight_steps = batches.steps, .warm = warm},
                                                         by_distance ? std::nullopt : std::optional(batches));
    return Learnt{std::move(found.permutations), found.hard.front(), found.hard[found.best_step]};
  });
}

std::vector<Alignment> AlignByCca(std::span<const models::StateDict> networks, const AlignTools& tools) {
  Show show(tools);
  std::vector<Alignment> aligned{{networks[0]}};
  for (size_t k = 1; k < networks.size(); ++k) {
    show.Load({&networks[0], &networks[k]});
    const merge::PairStatistics statistics = merge::MeasurePair(
        show.a(), show.b(), show.batches(),
        {.before_nonlinearity = tools.options.before_relu, .within = merge::PairStatistics::Within::kFull}, tools.share);
    base::Json report{{"samples", show.samples()}, {"ridge", tools.options.ridge}, {"before_relu", tools.options.before_relu}, {"seed", tools.options.seed}};
    aligned.push_back({merge::ApplyMaps(tools.spec, merge::CcaMaps(statistics, tools.options.ridge), networks[k]), {}, std::move(report)});
  }
  return aligned;
}

std::vector<Alignment> AlignByActivation(std::span<const merge::NetworkPair> pairs, const AlignTools& tools) {
  Show show(tools);
  const bool centred = tools.options.similarity == "correlation";
  std::vector<Alignment> aligned;
  for (const merge::NetworkPair& pair : pairs) {
    show.Load(pair);
    const merge::PairStatistics statistics =
        merge::MeasurePair(show.a(), show.b(), show.batches(), {.before_nonlinearity = tools.options.before_relu}, tools.share);
    merge::ActivationMatching found =
        merge::MatchActivations(statistics, centred ? merge::Similarity::kCorrelation : merge::Similarity::kSecondMoment);
    base::Json report{{"samples", show.samples()}, {"similarity", tools.options.similarity}, {"before_relu", tools.options.before_relu},
                      {"seed", tools.options.seed}};
    for (const auto& [id, mean] : found.similarity) report["mean_similarity"][id] = {{"before", mean.before}, {"after", mean.after}};
    aligned.push_back({models::ApplyPermutations(tools.spec, found.permutations, *pair.b), std::move(found.permutations), std::move(report)});
  }
  return aligned;
}

}  // namespace basin::trainer
