#include "trainer/align_data.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/seed.h"
#include "merge/activation_matching.h"

namespace basin::trainer {
namespace {

/// What methods of this kind share: images, and two networks to show them to.
class Show {
 public:
  explicit Show(const AlignTools& tools) : shop_(*tools.shop), options_(tools.options) {
    if (options_.symmetry) {
      throw ConfigError(Text("--align ", options_.method, " runs the configured network and takes its symmetry; leave --symmetry out"));
    }
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
              const torch::Tensor indices = order_.slice(0, batch * size, std::min(samples(), (batch + 1) * size));
              return data::TakeImages(shop_.dataset->train, shop_.dataset->normalisation, indices, shop_.bench.device,
                                      shop_.model->prefers_channels_last());
            }};
  }

 private:
  Workshop& shop_;
  const AlignOptions& options_;
  std::shared_ptr<models::Classifier> b_;
  torch::Tensor order_;
};

}  // namespace

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
