// Data, an empty network of the configured kind, and how to measure it: what work on finished models needs.
#pragma once

#include <memory>
#include <string>

#include "data/registry.h"
#include "models/state_dict.h"
#include "trainer/evaluate.h"
#include "trainer/member.h"

namespace basin::trainer {

/// Borrows the configuration. ConfigError or DataError when data and network do not go together.
struct Workshop {
  explicit Workshop(const RunConfig& run)
      : config(run), dataset(data::LoadDataset(run.data)), bench{*dataset, run.evaluate, torch::kCPU, run.seed} {
    CheckAgainstData(config, *dataset);
    model = MakeClassifier(config, *dataset);
  }
  /// DataError naming `source` when it is not a state of the configured network.
  void Load(const models::StateDict& state, const std::string& source) { models::LoadState(*model, state, source); }

  const RunConfig& config;
  std::shared_ptr<const data::Dataset> dataset;
  Bench bench;
  std::shared_ptr<models::Classifier> model;
};

}  // namespace basin::trainer
