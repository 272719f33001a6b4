// What the commands on finished models work with: data, an empty network of the configured kind, how to measure it.
#pragma once

#include <memory>

#include "data/registry.h"
#include "models/state_dict.h"
#include "trainer/evaluate.h"
#include "trainer/member.h"

namespace basin::trainer {

/// Borrows the configuration. On the CPU.
struct Workshop {
  explicit Workshop(const RunConfig& run)
      : config(run), dataset(data::LoadDataset(run.data)), bench{*dataset, run.evaluate, torch::kCPU, run.seed} {
    CheckAgainstData(config, *dataset);
    model = MakeClassifier(config, *dataset);
  }
  void Load(const models::StateDict& state, const std::string& source) { models::LoadState(*model, state, source); }

  const RunConfig& config;
  std::shared_ptr<const data::Dataset> dataset;
  Bench bench;
  std::shared_ptr<models::Classifier> model;
};

}  // namespace basin::trainer
