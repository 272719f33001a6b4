#include "trainer/laboratory/mending.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/log.h"
#include "merge/calibrate.h"

namespace basin::trainer {
namespace {

using Kind = MendingOptions::Renorm;
using Form = MendingOptions::Form;

constexpr std::array<std::string_view, 5> kRenormNames{"none", "reset", "repair", "rescale", "reshift"};
constexpr std::array<std::string_view, 3> kFormNames{"together", "sequential", "closed"};

bool Corrects(Kind renorm) { return renorm == Kind::kRepair || renorm == Kind::kRescale || renorm == Kind::kReshift; }

double BestTemperature(models::Classifier& model, const Sample& sample) {
  const torch::NoGradGuard no_grad;
  model.eval();
  std::vector<torch::Tensor> logits, labels;
  sample.labelled()([&](const torch::Tensor& images, const torch::Tensor& own) {
    logits.push_back(model.forward(images));
    labels.push_back(own);
  });
  return merge::FindTemperature(torch::cat(logits), torch::cat(labels).cpu());
}

}  // namespace

std::string_view RenormName(Kind renorm) { return kRenormNames.at(static_cast<size_t>(renorm)); }
std::string_view FormName(Form form) { return kFormNames.at(static_cast<size_t>(form)); }

void WarnOfIdleReset() { base::LogWarning("--renorm reset: the network has no batch norm, so there is nothing to recompute; nothing was mended by it"); }

merge::Pooling PoolingOf(Form form) {
  return form == Form::kTogether ? merge::Pooling::kMeanOfBatches : merge::Pooling::kAllValues;
}

merge::RenormaliseOptions AsRenormalise(const MendingOptions& options) {
  BASIN_CHECK(Corrects(options.renorm), RenormName(options.renorm), " is no correction");
  const auto correction = options.renorm == Kind::kRepair    ? merge::Correction::kRepair
                          : options.renorm == Kind::kRescale ? merge::Correction::kRescale
                                                               : merge::Correction::kReshift;
  return {.correction = correction, .averaged = options.averaged, .sequential = options.form == Form::kSequential};
}

base::Json AsJson(const MendingOptions& options, int64_t samples) {
  base::Json json{{"renorm", RenormName(options.renorm)}};
  if (!options.any()) return json;
  json["samples"] = samples;
  if (Corrects(options.renorm)) {
    json["form"] = FormName(options.form);
    json["averaged"] = options.averaged;
  }
  if (options.calibrate_biases) json["calibrate_biases"] = true;
  if (options.remove_biases > 0) json["remove_biases"] = options.remove_biases;
  return json;
}

void CheckMending(const MendingOptions& options) {
  if (Corrects(options.renorm)) return;
  if (options.form != Form::kTogether || options.averaged) {
    throw ConfigError(Text("--renorm ", RenormName(options.renorm), " has no form ",
                           options.averaged ? "of one target a layer" : FormName(options.form),
                           "; it goes with --renorm repair, rescale or reshift"));
  }
}

namespace {

MendingOptions WithoutIdleReset(MendingOptions options, const models::Classifier& model) {
  if (options.renorm == Kind::kReset && !models::HasBatchNorm(model)) options.renorm = Kind::kNone;
  return options;
}

}  // namespace

Mender::Mender(const MendingOptions& options, const Workshop& shop, const std::vector<models::StateDict>& parents)
    : options_(WithoutIdleReset(options, *shop.model)), shop_(shop), parents_(parents), sample_(shop.bench, *shop.model, options.samples) {
  CheckMending(options);
}

models::Classifier& Mender::Loaded(std::shared_ptr<models::Classifier>& scratch, size_t parent) {
  if (!scratch) scratch = MakeClassifier(shop_.config, *shop_.dataset);
  models::LoadState(*scratch, parents_.at(parent));
  return *scratch;
}

const merge::ActivationStatistics& Mender::StatisticsOf(size_t parent) {
  const auto known = statistics_.find(parent);
  if (known != statistics_.end()) return known->second;
  const auto measured = merge::MeasureActivations(Loaded(first_, parent), sample_.images(), PoolingOf(options_.form));
  return statistics_.emplace(parent, measured).first->second;
}

void Mender::MeasureParents(std::span<const size_t> of, const merge::TaskShare& share) {
  if (!Corrects(options_.renorm)) return;
  int64_t units = 0;
  auto layers = models::HookedLayers(*shop_.model);
  layers.pop_back();  // the classifier
  for (const models::HookedLayer& layer : layers) units += layer.weight.size(0);
  const auto rows = share(std::ssize(of), 2 * units, [&](int64_t task) {
    const auto& measured = StatisticsOf(of[task]);
    const torch::Tensor all = torch::cat({torch::cat(measured.mean), torch::cat(measured.std)});
    return std::vector<double>(all.const_data_ptr<double>(), all.const_data_ptr<double>() + all.numel());
  });
  for (size_t k = 0; k < of.size(); ++k) {
    const torch::Tensor all = torch::tensor(rows[k], torch::kFloat64);
    merge::ActivationStatistics measured;
    int64_t at = 0;
    for (const models::HookedLayer& layer : layers) {
      const int64_t width = layer.weight.size(0);
      measured.mean.push_back(all.narrow(0, at, width));
      measured.std.push_back(all.narrow(0, units + at, width));
      at += width;
    }
    statistics_.insert_or_assign(of[k], std::move(measured));
  }
}

const std::vector<torch::Tensor>& Mender::CorrelationOf(size_t a, size_t b) {
  const auto known = correlations_.find({a, b});
  if (known != correlations_.end()) return known->second;
  auto measured = merge::MeasureMatchedCorrelation(Loaded(first_, a), Loaded(second_, b), sample_.images());
  return correlations_.emplace(std::pair{a, b}, std::move(measured.layers)).first->second;
}

void Mender::Renormalise(models::Classifier& merged, std::span<const size_t> of, std::span<const double> weights) {
  std::vector<merge::ActivationStatistics> parents;
  for (const size_t parent : of) parents.push_back(StatisticsOf(parent));
  const auto target = merge::CombineStatistics(parents, weights);
  if (options_.form != Form::kClosed) return merge::Renormalise(merged, target, sample_.images(), AsRenormalise(options_));
  std::vector<merge::MatchedCorrelation> correlations;
  for (size_t a = 0; a < of.size(); ++a) {
    for (size_t b = a + 1; b < of.size(); ++b) correlations.push_back({a, b, CorrelationOf(of[a], of[b])});
  }
  merge::RenormaliseFrom(merged, target, merge::PredictMerged(parents, weights, correlations), AsRenormalise(options_));
  models::RecalibrateBatchNorm(merged, sample_.images());
}

void Mender::CalibrateBiases(models::Classifier& merged, std::span<const size_t> of, std::span<const double> weights) {
  std::vector<models::StateDict> parents;
  for (const size_t parent : of) parents.push_back(parents_.at(parent));
  merge::CalibrateBiases(merged, parents, weights);
}

void Mender::Reset(models::Classifier& merged) {
  // As every other command does it, unless images were asked for.
  if (options_.samples == 0) return Recalibrate(merged, shop_.bench);
  models::RecalibrateBatchNorm(merged, sample_.images());
}

double Mender::Mend(models::Classifier& merged, std::span<const size_t> of, std::span<const double> weights) {
  if (options_.calibrate_biases) CalibrateBiases(merged, of, weights);
  if (options_.remove_biases > 0) merge::RemoveLastBiases(merged, options_.remove_biases);
  if (options_.renorm == Kind::kReset) Reset(merged);
  if (Corrects(options_.renorm)) Renormalise(merged, of, weights);
  merged.eval();
  if (!options_.temperature) return 1;
  const double temperature = BestTemperature(merged, sample_);
  merge::ApplyTemperature(merged, temperature);
  return temperature;
}

}  // namespace basin::trainer
