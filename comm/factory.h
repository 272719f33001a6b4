// From the launcher's environment and the options to a communicator. The only file with #if on build options.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "comm/communicator.h"
#include "comm/link.h"

namespace basin::comm {

enum class Backend { kAuto, kInProcess, kMpi, kNccl };

/// What the launcher says about this process, read from the environment without starting MPI.
struct LaunchInfo {
  std::string launcher;  ///< "none" | "openmpi" | "pmix" | "slurm"
  int rank = 0;
  int size = 1;
  int local_rank = 0;  ///< rank among the processes of this host: chooses the GPU
  int local_size = 1;  ///< processes of this host (Slurm: of the fullest host, which is the same number on all ranks)
};
/// OMPI_COMM_WORLD_{RANK,SIZE,LOCAL_RANK,LOCAL_SIZE}; PMIX_RANK (with SLURM_/OMPI_ size); SLURM_PROCID, SLURM_STEP_NUM_TASKS
/// (else SLURM_NTASKS), SLURM_LOCALID, SLURM_STEP_TASKS_PER_NODE when SLURM_STEP_ID is set; else none. A batch script and
/// the shell of an interactive allocation are none as well. ConfigError when they contradict each other. `getenv` is
/// passed in for tests.
LaunchInfo ReadLaunchInfo(const std::function<const char*(const char*)>& getenv);

struct CommOptions {
  Backend backend = Backend::kAuto;
  std::chrono::milliseconds timeout{60000};
  std::optional<Link> emulate{};  ///< exchanges take as long as on this link (comm/emulated.h); all ranks on one host
};

/// True when this build has NCCL (BASIN_CUDA).
bool HasNccl();
/// "2.28.9", or "not built in".
std::string NcclVersionText();

/// The backend that `auto` stands for here: none -> in_process; a launcher -> nccl when the device is CUDA, every rank of a
/// host has its own GPU and the build has it, else mpi. ConfigError when the requested one is impossible, with the way out.
Backend ResolveBackend(const CommOptions& options, const LaunchInfo& launch, torch::Device device,
                       int local_gpus, bool has_nccl = HasNccl());
std::string_view BackendName(Backend backend);

}  // namespace basin::comm
