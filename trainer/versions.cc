#include "trainer/versions.h"

#include <torch/version.h>

#include "comm/factory.h"
#include "comm/mpi.h"

namespace basin::trainer {

LibraryVersions ReadVersions() {
  return {.basin = BASIN_VERSION, .libtorch = TORCH_VERSION, .mpi = comm::MpiSession::LibraryVersion(), .nccl = comm::NcclVersionText()};
}

base::Json AsJson(const LibraryVersions& versions) {
  return {{"basin", versions.basin}, {"libtorch", versions.libtorch}, {"mpi", versions.mpi}, {"nccl", versions.nccl}};
}

}  // namespace basin::trainer
