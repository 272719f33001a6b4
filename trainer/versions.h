// Versions of Basin and of the libraries below, for people and bug reports.
#pragma once

#include <string>

#include "base/json.h"

namespace basin::trainer {

struct LibraryVersions {
  std::string basin, libtorch, mpi, nccl;
};
LibraryVersions ReadVersions();
/// {"basin", "libtorch", "mpi", "nccl"}, for result.json.
base::Json AsJson(const LibraryVersions& versions);

}  // namespace basin::trainer
