// Versions of the libraries below, for people and bug reports.
#pragma once

#include <string>

namespace basin::trainer {

struct LibraryVersions {
  std::string libtorch, mpi, nccl;
};
LibraryVersions ReadVersions();

}  // namespace basin::trainer
