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

/// How large a data set is, where no pixel is needed: sizes, classes and splits as LoadDataset would give them; pixels and labels are
/// undefined unless the files had to be read. Files that are there are read (they may be a part of the data set), others are taken to be as
/// published; `tensors` has no published size. Errors as LoadDataset.
struct DatasetOutline {
  std::shared_ptr<const Dataset> dataset;
  bool as_published = false;  ///< files are missing
};
DatasetOutline OutlineDataset(const DataOptions& options);

}  // namespace basin::data
