// The table of data sets.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "data/dataset.h"

namespace basin::data {

std::vector<std::string> DatasetNames();
/// True when the data set is read from files, so that `path` must be given; `path` is ignored otherwise. ConfigError:
/// unknown name.
bool NeedsPath(const std::string& name);
/// Loads, validates, limits, splits off validation (unless the files bring one), sets the normalisation: options.normalise,
/// else the files' own constants, else the published ones, else measured on the training examples within the limit.
/// ConfigError: unknown name, missing path, limits < 1; DataError: file missing (lists the names looked for), cut short,
/// wrong magic, size, label or non-finite pixel.
std::shared_ptr<const Dataset> LoadDataset(const DataOptions& options);

}  // namespace basin::data
