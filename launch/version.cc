#include "launch/version.h"

#include "base/error.h"
#include "coordinator/version.h"
#include "trainer/versions.h"

namespace basin::launch {

std::string VersionText() {
  const trainer::LibraryVersions versions = trainer::ReadVersions();
  return Text("Basin    ", BASIN_VERSION, "\nLibTorch ", versions.libtorch, "\nMPI      ", versions.mpi, "\nNCCL     ",
              versions.nccl, "\ngRPC     ",
              coordinator::GrpcVersion());
}

}  // namespace basin::launch
