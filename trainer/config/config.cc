#include "trainer/config/config.h"

#include <span>

#include "base/error.h"
#include "base/files.h"
#include "trainer/config/sections.h"

namespace basin::trainer {

RunConfig ParseRunConfig(const std::string& text, const std::string& origin, const std::filesystem::path& folder,
                         const std::vector<std::string>& overrides) {
  Problems problems;
  Yaml root = ParseYaml(text, origin, problems);
  if (problems.count() == 0 && !root.IsNull() && !root.IsMap()) {
    problems.Add(root.where, "", root.Found() + " is not a configuration; sections are expected: run, data, model, train, ...");
  }
  problems.ThrowIfAny();  // what is wrong with a text half understood would only mislead
  for (const std::string& assignment : overrides) LayOver(root, assignment, problems);
  return ReadConfigTree(root, origin, folder, problems);
}

RunConfig ReadConfigTree(const Yaml& root, const std::string& origin, const std::filesystem::path& folder, Problems& problems) {
  Draft draft{.config = {.origin = origin}};
  Section::ReadAs(root, "", problems, [&](Keys& keys) { VisitConfig(keys, draft); });
  RunConfig& config = draft.config;
  ResolveMembers(draft.overrides, config, problems);
  problems.ThrowIfAny();

  config.data.seed = config.seed;
  for (std::filesystem::path* path : {&config.data.path, &config.model.path}) {
    if (!path->empty()) *path = std::filesystem::absolute(folder / *path).lexically_normal();
  }
  return config;
}

RunConfig ReadRunConfig(const std::filesystem::path& file, const std::vector<std::string>& overrides) {
  std::string text;
  try {
    text = base::ReadFile(file);
  } catch (const DataError& failure) {
    throw ConfigError(Text("the configuration cannot be read: ", failure.what()));
  }
  // Blank, all in comments, or null: more likely a mistake than the wish for a run with all defaults.
  Problems reported_below;
  if (ParseYaml(text, file.string(), reported_below).IsNull() && reported_below.count() == 0) {
    throw ConfigError(Text(file.string(), ": the file is empty; sections are expected: run, data, model, train, ... (a run "
                           "with all defaults is {})"));
  }
  return ParseRunConfig(text, file.string(), file.parent_path(), overrides);
}

void CheckAgainstData(const RunConfig& config, const data::Dataset& dataset) {
  Problems problems;
  const int64_t examples = dataset.train.size();
  const bool norm_needs_two = config.model.name == "mlp" && config.model.norm == models::Norm::kBatch;
  const auto check_batch = [&](const std::string& whose, int64_t batch_size) {
    if (batch_size == 1 && norm_needs_two) {
      problems.Add(config.origin, whose + "batch_size",
                   "1 leaves batch norm one value a unit, which has no variance; use at least 2, or model.norm layer or none");
    }
    if (batch_size <= examples) return;
    problems.Add(config.origin, whose + "batch_size",
                 Text(batch_size, " is more than the ", examples, " training examples of ", dataset.name,
                      " (after data.train_limit and data.validation); allowed: 1 to ", examples));
  };
  check_batch("train.", config.train.batch_size);
  for (int m : config.overridden) {
    const int64_t own = config.members.at(m).train.batch_size;
    if (own != config.train.batch_size) check_batch(Text("population.overrides: member ", m, ": train."), own);
  }
  problems.ThrowIfAny();
}

std::string ToYaml(const RunConfig& config) {
  Draft draft{.config = config};
  return DumpYaml(Printer::Describe([&](Keys& keys) { VisitConfig(keys, draft); }));
}

std::string ComparableYaml(const RunConfig& config) {
  const RunConfig defaults;
  RunConfig same = config;
  same.name = defaults.name;
  same.dir = defaults.dir;
  same.population.device = defaults.population.device;
  same.comm = defaults.comm;
  same.checkpoint = defaults.checkpoint;
  same.coordinator = defaults.coordinator;
  same.report = defaults.report;
  same.faults = defaults.faults;
  return ToYaml(same);
}

std::string ConfigHash(const RunConfig& config) {
  const std::string text = ComparableYaml(config);
  return base::HexHash(base::Hash64(std::as_bytes(std::span(text))));
}

}  // namespace basin::trainer
