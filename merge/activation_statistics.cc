#include "merge/activation_statistics.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/error.h"
#include "models/state_dict.h"

namespace basin::merge {
namespace {

int64_t LengthOf(int64_t n, PairStatistics::Within within) {
  return 1 + 2 * n + 2 * (within == PairStatistics::Within::kFull ? n * n : n) + n * n;
}

/// Units of x [n, units] or [n, units, H, W] as rows of samples, [samples, units]. A view where the memory format allows.
torch::Tensor AsSamples(const torch::Tensor& x) {
  return x.dim() == 2 ? x : x.movedim(1, -1).reshape({-1, x.size(1)});
}

/// Puts a listener on a network in eval mode. At the end of its life listener and modes are as before.
class Listening {
 public:
  Listening(models::Classifier& model, models::UnitListener listener) : model_(model), old_(std::move(model.listener)), was_training_(model.is_training()) {
    for (const auto& module : model.modules(/*include_self=*/false)) modes_.emplace_back(module.get(), module->is_training());
    model.eval();
    model.listener = std::move(listener);
  }
  ~Listening() {
    model_.listener = std::move(old_);
    model_.train(was_training_);
    // train() reaches all that is below; parents come first, so that each module has its own last word.
    for (const auto& [module, mode] : modes_) module->train(mode);
  }
  Listening(const Listening&) = delete;
  Listening& operator=(const Listening&) = delete;

 private:
  models::Classifier& model_;
  models::UnitListener old_;
  bool was_training_;
  std::vector<std::pair<torch::nn::Module*, bool>> modes_;
};

/// Sums of one chunk of samples, float32 [samples, n] each, added to float64 sums on the same device.
///
/// With centres s and t, sum a b^T = sum (a - s)(b - t)^T + s (sum b)^T + (sum a) t^T - samples s t^T. The first product is small when
/// s and t are near the means, and only it is computed in float32; the rest is exact to float64. s and t are float32 numbers, so a - s
/// is rounded relative to itself.
void AddChunk(const torch::Tensor& a, const torch::Tensor& b, PairStatistics::Within within, PairStatistics::Sums& sums) {
  const auto samples = static_cast<double>(a.size(0));
  const torch::Tensor sum_a = a.sum(0, false, torch::kFloat64), sum_b = b.sum(0, false, torch::kFloat64);
  const torch::Tensor s = (sum_a / samples).to(torch::kFloat32), t = (sum_b / samples).to(torch::kFloat32);
  const torch::Tensor da = a - s, db = b - t;
  const torch::Tensor ws = s.to(torch::kFloat64), wt = t.to(torch::kFloat64);
  const auto product = [&](const torch::Tensor& x, const torch::Tensor& y, const torch::Tensor& cx, const torch::Tensor& cy,
                           const torch::Tensor& sx, const torch::Tensor& sy) {
    return torch::mm(x.t(), y).to(torch::kFloat64) + torch::outer(cx, sy - samples * cy) + torch::outer(sx, cy);
  };
  const auto squares = [&](const torch::Tensor& x, const torch::Tensor& c, const torch::Tensor& sum) {
    return x.square().sum(0, false, torch::kFloat64) + c * (2 * sum - samples * c);
  };
  sums.count += samples;
  sums.a += sum_a;
  sums.b += sum_b;
  sums.ab += product(da, db, ws, wt, sum_a, sum_b);
  if (within == PairStatistics::Within::kFull) {
    sums.aa += product(da, da, ws, ws, sum_a, sum_a);
    sums.bb += product(db, db, wt, wt, sum_b, sum_b);
  } else {
    sums.aa += squares(da, ws, sum_a);
    sums.bb += squares(db, wt, sum_b);
  }
}

/// One part's batches through both networks.
class PartPass {
 public:
  PartPass(models::Classifier& a, models::Classifier& b, const StatisticsOptions& options, PairStatistics& statistics)
      : a_(a), b_(b), options_(options), statistics_(statistics),
        hears_a_(a, [this](const std::string& id, const torch::Tensor& x) { Keep(id, x); }),
        hears_b_(b, [this](const std::string& id, const torch::Tensor& x) { Add(id, x); }) {}

  void Batch(const torch::Tensor& images) {
    device_ = images.device();
    kept_.clear();
    heard_ = 0;
    a_.forward(images);
    b_.forward(images);
    BASIN_CHECK(heard_ == std::ssize(statistics_.sizes()), "activations of ", heard_, " ids of units, of ", statistics_.sizes().size());
  }

  /// Sums come to the CPU once a part.
  void Finish() {
    for (auto& [id, sums] : sums_) {
      const PairStatistics::Sums to = statistics_.of(id);
      to.count.copy_(sums.count);
      to.a.copy_(sums.a);
      to.b.copy_(sums.b);
      to.aa.copy_(sums.aa);
      to.bb.copy_(sums.bb);
      to.ab.copy_(sums.ab);
    }
  }

 private:
  torch::Tensor Activations(const torch::Tensor& x) const {
    // A copy in any case: what follows in the network works in place.
    return AsSamples(options_.before_nonlinearity ? x.clone() : torch::relu(x));
  }
  void Keep(const std::string& id, const torch::Tensor& x) {
    BASIN_CHECK(kept_.emplace(id, Activations(x)).second, "units ", id, " are told of twice");
  }
  void Add(const std::string& id, const torch::Tensor& x) {
    const auto found = kept_.find(id);
    BASIN_CHECK(found != kept_.end(), "units ", id, " are told of by one network only");
    const torch::Tensor a = found->second, b = Activations(x);
    kept_.erase(found);  // its memory, as soon as it is used
    auto sums = sums_.find(id);
    if (sums == sums_.end()) sums = sums_.emplace(id, Zeros(statistics_.of(id))).first;
    BASIN_CHECK(a.sizes() == b.sizes() && a.size(1) == statistics_.sizes().at(id), "activations of units ", id, " are ", a.sizes(), " and ", b.sizes());
    for (int64_t row = 0; row < a.size(0); row += kStatisticsRows) {
      const int64_t rows = std::min(kStatisticsRows, a.size(0) - row);
      AddChunk(a.narrow(0, row, rows), b.narrow(0, row, rows), options_.within, sums->second);
    }
    ++heard_;
  }
  PairStatistics::Sums Zeros(const PairStatistics::Sums& like) const {
    const auto zeros = [&](const torch::Tensor& x) { return torch::zeros_like(x, x.options().device(device_)); };
    return {zeros(like.count), zeros(like.a), zeros(like.b), zeros(like.aa), zeros(like.bb), zeros(like.ab)};
  }

  models::Classifier& a_;
  models::Classifier& b_;
  const StatisticsOptions& options_;
  PairStatistics& statistics_;
  torch::Device device_ = torch::kCPU;
  std::map<std::string, torch::Tensor> kept_;  // of A, for the batch under way
  std::map<std::string, PairStatistics::Sums> sums_;
  int64_t heard_ = 0;
  Listening hears_a_, hears_b_;
};

}  // namespace

PairStatistics::PairStatistics(std::map<std::string, int64_t> sizes, Within within) : sizes_(std::move(sizes)), within_(within) {
  int64_t length = 0;
  for (const auto& [id, n] : sizes_) {
    offsets_[id] = length;
    length += LengthOf(n, within);
  }
  values_ = torch::zeros({length}, torch::kFloat64);
}

PairStatistics::Sums PairStatistics::of(const std::string& id) const {
  const auto size = sizes_.find(id);
  BASIN_CHECK(size != sizes_.end(), "no statistics of units ", id);
  const int64_t n = size->second;
  int64_t at = offsets_.at(id);
  const auto take = [&](at::IntArrayRef shape) {
    const int64_t elements = c10::multiply_integers(shape);
    const torch::Tensor view = values_.narrow(0, at, elements).view(shape);
    at += elements;
    return view;
  };
  const bool full = within_ == Within::kFull;
  Sums sums;
  sums.count = take({1});
  sums.a = take({n});
  sums.b = take({n});
  sums.aa = full ? take({n, n}) : take({n});
  sums.bb = full ? take({n, n}) : take({n});
  sums.ab = take({n, n});
  return sums;
}

PairStatistics::Moments PairStatistics::MomentsOf(const std::string& id) const {
  const Sums sums = of(id);
  const double count = sums.count.item<double>();
  if (!(count > 0)) throw DataError(Text("no image was seen by units ", id, "; activations need at least one"));
  for (const torch::Tensor& sum : {sums.a, sums.b, sums.aa, sums.bb, sums.ab}) {
    if (!sum.isfinite().all().item<bool>()) {
      throw DataError(Text("units ", id, " have activations that are not finite; a network's weights or the images are damaged"));
    }
  }
  Moments moments{sums.a / count, sums.b / count, {}, {}, {}};
  const auto within = [&](const torch::Tensor& sum, const torch::Tensor& mean) {
    // The variance of a constant may come out a rounding below 0.
    return within_ == Within::kFull ? sum / count - torch::outer(mean, mean) : (sum / count - mean.square()).clamp_min(0);
  };
  moments.aa = within(sums.aa, moments.mean_a);
  moments.bb = within(sums.bb, moments.mean_b);
  moments.ab = sums.ab / count - torch::outer(moments.mean_a, moments.mean_b);
  return moments;
}

PairStatistics MeasurePair(models::Classifier& a, models::Classifier& b, const ImageBatches& batches, const StatisticsOptions& options,
                           const TaskShare& share) {
  const torch::NoGradGuard no_grad;
  BASIN_CHECK(batches.count > 0, "activations need at least one batch of images");
  BASIN_CHECK(&a != &b, "the two networks must be two modules, each with its own weights");
  const auto sizes = models::ValidateSpec(a.symmetry(), models::StateOf(a));
  if (sizes != models::ValidateSpec(b.symmetry(), models::StateOf(b))) {
    throw DataError("the two networks have layers of different widths; units can be matched between networks of one architecture");
  }
  const int64_t parts = std::min(batches.count, kStatisticsParts);
  const auto measure = [&](int64_t part) {
    PairStatistics statistics(sizes, options.within);
    PartPass pass(a, b, options, statistics);
    for (int64_t k = part * batches.count / parts; k < (part + 1) * batches.count / parts; ++k) pass.Batch(batches.at(k));
    pass.Finish();
    return statistics;
  };
  PairStatistics total(sizes, options.within);
  if (!share) {
    for (int64_t part = 0; part < parts; ++part) total.values() += measure(part).values();
    return total;
  }
  const auto rows = share(parts, total.values().numel(), [&](int64_t part) {
    const PairStatistics statistics = measure(part);
    const double* values = statistics.values().const_data_ptr<double>();
    return std::vector<double>(values, values + statistics.values().numel());
  });
  for (const std::vector<double>& row : rows) {
    total.values() += torch::from_blob(const_cast<double*>(row.data()), {std::ssize(row)}, torch::kFloat64);
  }
  return total;
}

}  // namespace basin::merge
