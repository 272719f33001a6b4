#include "merge/collapse.h"

#include <cmath>
#include <limits>

#include "base/error.h"
#include "merge/relu_listener.h"

namespace basin::merge {
namespace {

double MeanMagnitude(const torch::Tensor& tensor) {
  return tensor.defined() && tensor.numel() > 0 ? tensor.detach().abs().mean(torch::kFloat64).item<double>() : 0;
}

/// Sums of one ReLU over batches.
struct ReluSums {
  std::string after;
  double values = 0, total = 0, zeros = 0;
  double maps = 0, spread = 0;  // (image, channel) pairs and the sum of their std

  void Add(const torch::Tensor& y) {
    values += static_cast<double>(y.numel());
    total += y.sum(torch::kFloat64).item<double>();
    zeros += static_cast<double>(y.numel() - y.count_nonzero().item<int64_t>());
    if (y.dim() < 3) return;
    maps += static_cast<double>(y.size(0) * y.size(1));
    spread += y.flatten(2).std(/*dim=*/{2}, /*unbiased=*/false).sum(torch::kFloat64).item<double>();
  }
  ReluActivity Value() const {
    return {.after = after, .magnitude = total / values, .spread = spread / maps, .sparsity = zeros / values};
  }
};

/// |f(x) - f(0)|_2 / sqrt(dim f), summed over the images of a batch. x [n, ...], zero [1, ...].
double FeatureSum(const torch::Tensor& x, const torch::Tensor& zero) {
  const torch::Tensor difference = (x - zero).flatten(1);
  const auto dim = static_cast<double>(difference.size(1));
  return difference.norm(2, /*dim=*/1).sum(torch::kFloat64).item<double>() / std::sqrt(dim);
}

/// Gathers what MeasureActivity returns, a batch at a time.
class Gathering {
 public:
  explicit Gathering(ListeningPass& pass)
      : pass_(pass), zero_(pass.layers().size()), moments_(zero_.size(), MomentsOfBatches(Pooling::kAllValues)), features_(zero_.size()) {}

  void Add(const torch::Tensor& images) {
    if (images_ == 0) Forward(torch::zeros_like(images.narrow(0, 0, 1)), [&](size_t i, const torch::Tensor& x) { zero_[i] = x; });
    size_t next = 0;
    const ReluListener listener([&](const torch::Tensor& y) {
      if (next == relus_.size()) relus_.push_back({.after = last_});
      relus_[next++].Add(y);
    });
    Forward(images, [&](size_t i, const torch::Tensor& x) {
      moments_[i].Add(MomentsOf(x, pass_.layers()[i].name), ValuesAUnit(x));
      features_[i] += FeatureSum(x, zero_[i]);
    });
    images_ += static_cast<double>(images.size(0));
  }

  Activity Value() const {
    Activity activity;
    for (const ReluSums& relu : relus_) activity.relus.push_back(relu.Value());
    for (size_t i = 0; i < zero_.size(); ++i) {
      const models::HookedLayer& layer = pass_.layers()[i];
      activity.layers.push_back({.name = layer.name,
                                 .variance = moments_[i].Value(layer.name).variance.mean().item<double>(),
                                 .feature = features_[i] / images_,
                                 .weight = MeanMagnitude(layer.weight),
                                 .bias = MeanMagnitude(layer.bias)});
    }
    return activity;
  }

 private:
  void Forward(const torch::Tensor& images, const std::function<void(size_t, const torch::Tensor&)>& see) {
    last_ = "input";
    pass_.Forward(images, [&](size_t i, const torch::Tensor& x) {
      last_ = pass_.layers()[i].name;
      see(i, x);
      return x;
    });
  }

  ListeningPass& pass_;
  std::vector<torch::Tensor> zero_;  // f(0) of each layer
  std::vector<MomentsOfBatches> moments_;
  std::vector<double> features_;
  std::vector<ReluSums> relus_;
  std::string last_;
  double images_ = 0;
};

}  // namespace

Activity MeasureActivity(models::Classifier& model, const models::BatchVisitor& batches) {
  ListeningPass pass(model, BatchNormMode::kRunning, /*with_classifier=*/true);
  Gathering gathering(pass);
  batches([&](const torch::Tensor& images) { gathering.Add(images); });
  return gathering.Value();
}

std::vector<double> RatioToParents(std::span<const double> merged, std::span<const std::vector<double>> parents,
                                   std::span<const double> weights) {
  BASIN_CHECK(!parents.empty() && (weights.empty() || weights.size() == parents.size()), weights.size(), " weights for ",
              parents.size(), " networks");
  std::vector<double> ratios;
  for (size_t k = 0; k < merged.size(); ++k) {
    double expected = 0;
    for (size_t i = 0; i < parents.size(); ++i) {
      expected += parents[i].at(k) * (weights.empty() ? 1.0 / static_cast<double>(parents.size()) : weights[i]);
    }
    ratios.push_back(expected > 0 ? merged[k] / expected : std::numeric_limits<double>::quiet_NaN());
  }
  return ratios;
}

}  // namespace basin::merge
