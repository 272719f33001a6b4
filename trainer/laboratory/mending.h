// Renormalisation of merged networks as merge, lmc, analyze and prune ask for it.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/json.h"
#include "merge/closed_form.h"
#include "merge/tasks.h"
#include "trainer/laboratory/sample.h"
#include "trainer/laboratory/workshop.h"

namespace basin::trainer {

struct MendingOptions {
  enum class Renorm { kNone, kReset, kRepair, kRescale, kReshift } renorm = Renorm::kNone;
  enum class Form {
    kTogether,    ///< one pass over the sample, all layers at once
    kSequential,  ///< layer by layer
    kClosed,      ///< from the parents' statistics and their correlation, no pass over the merged network
  } form = Form::kTogether;
  bool averaged = false;          ///< one target a layer instead of one a unit
  bool calibrate_biases = false;  ///< before all else; plain networks
  int64_t remove_biases = 0;      ///< then: the biases of so many last layers become zero
  bool temperature = false;       ///< after all else: the classifier is divided by the best temperature on the sample
  int64_t samples = 0;            ///< training images; 0: all, at most kManySamples; reset alone: evaluate.recalibrate_batches

  bool any() const { return renorm != Renorm::kNone || calibrate_biases || remove_biases > 0 || temperature; }
};
std::string_view RenormName(MendingOptions::Renorm renorm);
std::string_view FormName(MendingOptions::Form form);

/// ConfigError: a form without a correction that it could be a form of.
void CheckMending(const MendingOptions& options);

/// Measures parents when they are needed, once each, and mends networks that were merged of them.
class Mender {
 public:
  /// Borrows shop and parents. ConfigError as CheckMending.
  Mender(const MendingOptions& options, const Workshop& shop, const std::vector<models::StateDict>& parents);

  /// Measures what Mend will need of these parents, each a task of `share`. Collective; not needed: Mend measures what it does not know.
  void MeasureParents(std::span<const size_t> of, const merge::TaskShare& share);
  /// `merged` holds sum_i weights[i] parents[of[i]] (or another kind of average of them) and is mended in place; eval mode afterwards.
  /// Returns the temperature that was divided by, 1 when none was asked for.
  double Mend(models::Classifier& merged, std::span<const size_t> of, std::span<const double> weights);
  /// What is really done: no reset where there is no batch norm.
  const MendingOptions& options() const { return options_; }
  /// Images used.
  int64_t samples() const { return sample_.size(); }

 private:
  models::Classifier& Loaded(std::shared_ptr<models::Classifier>& scratch, size_t parent);
  const merge::ActivationStatistics& StatisticsOf(size_t parent);
  const std::vector<torch::Tensor>& CorrelationOf(size_t a, size_t b);
  void Renormalise(models::Classifier& merged, std::span<const size_t> of, std::span<const double> weights);
  void Reset(models::Classifier& merged);
  void CalibrateBiases(models::Classifier& merged, std::span<const size_t> of, std::span<const double> weights);

  const MendingOptions options_;
  const Workshop& shop_;
  const std::vector<models::StateDict>& parents_;
  Sample sample_;
  std::map<size_t, merge::ActivationStatistics> statistics_;
  std::map<std::pair<size_t, size_t>, std::vector<torch::Tensor>> correlations_;
  std::shared_ptr<models::Classifier> first_, second_;  // scratch; made when needed
};

/// That --renorm reset has nothing to do.
void WarnOfIdleReset();

/// mu and sigma over the sample in the sense of the form: pooled where layers are mended one at a time or in closed form.
merge::Pooling PoolingOf(MendingOptions::Form form);
/// The correction that `renorm` names; CheckFailed for none and reset.
merge::RenormaliseOptions AsRenormalise(const MendingOptions& options);
/// {"renorm", "form", "averaged", ...}: what was done.
base::Json AsJson(const MendingOptions& options, int64_t samples);

}  // namespace basin::trainer
