#include "trainer/versions.h"

#include <torch/version.h>

#include "comm/factory.h"
#include "comm/mpi.h"

namespace basin::trainer {

LibraryVersions ReadVersions() {
  return {.libtorch = TORCH_VERSION, .mpi = comm::MpiSession::LibraryVersion(), .nccl = comm::NcclVersionText()};
}

}  // namespace basin::trainer
