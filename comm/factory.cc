#include "comm/factory.h"

#include <algorithm>
#include <charconv>
#include <cstdint>

#include "base/error.h"
#if BASIN_WITH_CUDA
#include "comm/nccl.h"
#endif

namespace basin::comm {
namespace {

using Getenv = std::function<const char*(const char*)>;

template <typename Number = int>
std::optional<Number> ReadInt(const Getenv& getenv, const char* name) {
  const char* text = getenv(name);
  if (text == nullptr || *text == '\0') return std::nullopt;
  const std::string_view view(text);
  Number value = 0;
  const auto [end, error] = std::from_chars(view.data(), view.data() + view.size(), value);
  if (error != std::errc() || end != view.data() + view.size() || value < 0) {
    throw ConfigError(Text("the environment variable ", name, " is '", text,
                           "'; a launcher sets it to a number from 0. Unset it, or start with mpirun or srun."));
  }
  return value;
}

/// The first of these variables that is set.
std::optional<int> FirstInt(const Getenv& getenv, std::initializer_list<const char*> names) {
  for (const char* name : names) {
    if (const std::optional<int> value = ReadInt(getenv, name)) return value;
  }
  return std::nullopt;
}

/// The largest number in Slurm's list of tasks per node, such as "4(x2),3": 4. Nothing when it is not such a list.
std::optional<int> FullestHost(const char* list) {
  if (list == nullptr) return std::nullopt;
  std::string_view rest(list);
  int fullest = 0;
  while (!rest.empty()) {
    int tasks = 0;
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), tasks);
    if (error != std::errc()) return std::nullopt;
    fullest = std::max(fullest, tasks);
    const size_t comma = rest.find(',', end - rest.data());
    rest = comma == std::string_view::npos ? std::string_view() : rest.substr(comma + 1);
  }
  return fullest > 0 ? std::optional(fullest) : std::nullopt;
}

int LocalSize(const Getenv& getenv, int size) {
  if (const std::optional<int> local = ReadInt(getenv, "OMPI_COMM_WORLD_LOCAL_SIZE")) return *local;
  for (const char* name : {"SLURM_STEP_TASKS_PER_NODE", "SLURM_TASKS_PER_NODE"}) {
    if (const std::optional<int> fullest = FullestHost(getenv(name))) return std::min(*fullest, size);
  }
  return size;  // nothing said: the cautious guess is one host
}

LaunchInfo Checked(LaunchInfo info) {
  if (info.rank < info.size && info.local_rank < info.size) return info;
  throw ConfigError(Text("the launcher's environment (", info.launcher, ") says rank ", info.rank, ", local rank ",
                         info.local_rank, " of ", info.size,
                         " ranks, which cannot be; was it inherited from another job? Start with mpirun -n N."));
}

ConfigError Impossible(Backend backend, std::string_view why, std::string_view way_out) {
  return ConfigError(Text("comm.backend is ", BackendName(backend), ", but ", why, "; ", way_out,
                          ", or set comm.backend: auto"));
}

void CheckNccl(const LaunchInfo& launch, torch::Device device, int local_gpus, bool has_nccl) {
  if (!has_nccl) {
    throw Impossible(Backend::kNccl, "this build has no NCCL", "build with the preset cuda (launch/setup.sh --cuda)");
  }
  if (launch.launcher == "none") {
    throw Impossible(Backend::kNccl, "no launcher started this process", "start it with mpirun -n N basin ...");
  }
  if (local_gpus == 0) {
    throw Impossible(Backend::kNccl, "this host has no GPU that CUDA can see",
                     "check nvidia-smi and CUDA_VISIBLE_DEVICES");
  }
  if (!device.is_cuda()) {
    throw Impossible(Backend::kNccl, Text("the device is ", device), "set device: cuda");
  }
  if (launch.local_size > local_gpus) {
    throw Impossible(Backend::kNccl,
                     Text("this host has ", launch.local_size, " ranks and ", local_gpus,
                          " GPUs; nccl needs a GPU for each rank"),
                     "start fewer ranks a host");
  }
}

}  // namespace

LaunchInfo ReadLaunchInfo(const Getenv& getenv) {
  const auto filled = [&](std::string launcher, int rank, int size) {
    const int local_rank = FirstInt(getenv, {"OMPI_COMM_WORLD_LOCAL_RANK", "SLURM_LOCALID"}).value_or(0);
    return Checked({std::move(launcher), rank, size, local_rank, LocalSize(getenv, size)});
  };
  const std::optional<int> ompi_rank = ReadInt(getenv, "OMPI_COMM_WORLD_RANK");
  const std::optional<int> ompi_size = ReadInt(getenv, "OMPI_COMM_WORLD_SIZE");
  if (ompi_rank && ompi_size) return filled("openmpi", *ompi_rank, *ompi_size);

  // The shell of an interactive allocation is a step too, and hands down what Slurm and PMIx told it. Its number lies above
  // all of srun's (slurm.h: SLURM_MAX_NORMAL_STEP_ID).
  constexpr int64_t kLastStepOfSrun = 0xfffffff0;
  const std::optional<int64_t> slurm_step = ReadInt<int64_t>(getenv, "SLURM_STEP_ID");
  if (slurm_step > kLastStepOfSrun) return {.launcher = "none"};

  const std::optional<int> slurm_size = FirstInt(getenv, {"SLURM_STEP_NUM_TASKS", "SLURM_NTASKS"});
  if (const std::optional<int> rank = ReadInt(getenv, "PMIX_RANK")) {
    const std::optional<int> size = ompi_size ? ompi_size : slurm_size;
    if (!size) {
      throw ConfigError(Text("PMIX_RANK is ", *rank,
                             ", but neither OMPI_COMM_WORLD_SIZE nor SLURM_NTASKS tells the number of ranks; start with "
                             "mpirun -n N or srun --mpi=pmix"));
    }
    return filled("pmix", *rank, *size);
  }
  const std::optional<int> slurm_rank = ReadInt(getenv, "SLURM_PROCID");
  // Without a step the process is the batch script itself: alone, whatever the allocation's size.
  if (slurm_step && slurm_rank && slurm_size) return filled("slurm", *slurm_rank, *slurm_size);
  return {.launcher = "none"};
}

bool HasNccl() {
#if BASIN_WITH_CUDA
  return true;
#else
  return false;
#endif
}

std::string NcclVersionText() {
#if BASIN_WITH_CUDA
  return NcclVersion();
#else
  return "not built in";
#endif
}

std::string_view BackendName(Backend backend) {
  switch (backend) {
    case Backend::kAuto: return "auto";
    case Backend::kInProcess: return "in_process";
    case Backend::kMpi: return "mpi";
    case Backend::kNccl: return "nccl";
  }
  return "?";
}

Backend ResolveBackend(const CommOptions& options, const LaunchInfo& launch, torch::Device device, int local_gpus,
                       bool has_nccl) {
  const bool launched = launch.launcher != "none";
  switch (options.backend) {
    case Backend::kAuto: {
      if (!launched) return Backend::kInProcess;
      const bool own_gpus = device.is_cuda() && local_gpus >= launch.local_size;
      return own_gpus && has_nccl ? Backend::kNccl : Backend::kMpi;
    }
    case Backend::kInProcess:
      if (launched && launch.size > 1) {
        throw Impossible(Backend::kInProcess,
                         Text("the launcher (", launch.launcher, ") started ", launch.size,
                              " processes, and each would train the whole population"),
                         "start basin without mpirun");
      }
      return Backend::kInProcess;
    case Backend::kMpi:
      if (!launched) {
        throw Impossible(Backend::kMpi, "no launcher started this process", "start it with mpirun -n N basin ...");
      }
      return Backend::kMpi;
    case Backend::kNccl:
      CheckNccl(launch, device, local_gpus, has_nccl);
      return Backend::kNccl;
  }
  throw CheckFailed(Text("backend ", static_cast<int>(options.backend)));
}

}  // namespace basin::comm
