// The sections of a configuration, each described once for reading and for printing (see config_keys.h).
#pragma once

#include <filesystem>

#include "trainer/config/config.h"
#include "trainer/config/keys.h"

namespace basin::trainer {

/// A configuration while it is being read.
struct Draft {
  RunConfig config{};
  Yaml overrides{};  ///< population.overrides, to be laid over once all else is known
};

/// A whole configuration, as ParseRunConfig reads it once the text is a tree. Throws the problems found, earlier ones included.
RunConfig ReadConfigTree(const Yaml& root, const std::string& origin, const std::filesystem::path& folder, Problems& problems);

/// All sections in the order of `configs/reference.yaml` and of `config.yaml` in a run directory.
void VisitConfig(Keys& keys, Draft& draft);
/// Of a key "name" that a folder is called by; the message points to what takes a path.
void RequireFolderName(Keys& keys, const std::string& name, std::string_view takes_a_path);

/// How long, and what members may do differently. Keys that are missing keep the value that is there.
void VisitTrain(Keys& keys, TrainOptions& options);
/// The part of `train` that an override may change.
void VisitMemberTrain(Keys& keys, TrainOptions& options);
void VisitStrategy(Keys& keys, StrategyOptions& options);
void VisitData(Keys& keys, RunConfig& config);
void VisitFaults(Keys& keys, std::vector<FaultOptions>& faults);
void VisitAugment(Keys& keys, data::Augmentations& augment);
void VisitModel(Keys& keys, models::ModelOptions& options);

/// Fills config.members: the common section, then each member's draw from the pool, then its override.
void ResolveMembers(const Yaml& overrides, RunConfig& config, Problems& problems);
/// The overrides in full: every key that an override may hold, with the member's effective value.
Yaml PrintOverrides(const RunConfig& config);

}  // namespace basin::trainer
