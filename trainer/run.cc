#include "trainer/run.h"

#include <torch/types.h>
#include <ATen/Parallel.h>
#include <torch/cuda.h>

#include <cstdlib>
#include <iostream>
#include <numeric>
#include <span>

#include "base/error.h"
#include "base/files.h"
#include "base/log.h"
#include "comm/hybrid.h"
#include "comm/in_process.h"
#include "comm/mpi.h"
#include "data/registry.h"
#include "trainer/agreement.h"
#include "trainer/check.h"
#include "trainer/data_plane.h"
#include "trainer/member.h"
#include "trainer/run_directory.h"
#include "trainer/run_member.h"

namespace basin::trainer {
namespace {

/// What the ranks of a process share, and where they run.
struct Shared {
  RunPlan plan;
  comm::Backend backend = comm::Backend::kInProcess;
  torch::Device device = torch::kCPU;  // type; each rank adds its index
  bool finished = false;               // result.json is there, and --resume was given
};

torch::Device ChooseDevice(const RunConfig& config, const comm::LaunchInfo& launch) {
  const bool has_cuda = torch::cuda::is_available();
  if (config.population.device == DeviceChoice::kCuda && !has_cuda) {
    throw ConfigError("population.device is cuda, but LibTorch sees no GPU here; use auto or cpu, or build with CUDA "
                      "(launch/build.sh cuda)");
  }
  if (config.population.device == DeviceChoice::kCpu || !has_cuda) return torch::kCPU;
  return {torch::kCUDA, static_cast<c10::DeviceIndex>(launch.local_rank % torch::cuda::device_count())};
}

/// A process holds one member, or several as threads.
void CheckSize(const RunConfig& config, const comm::LaunchInfo& launch) {
  const int members = config.population.members;
  if (launch.launcher == "none" || launch.size == members) return;
  if (launch.size > members) {
    throw ConfigError(Text("population.members is ", members, ", but the launcher started ", launch.size, " processes, and each needs a "
                           "member; start mpirun -n ", members, " or fewer, or use --set population.members=", launch.size));
  }
  if (config.coordinator.on_loss == coordinator::OnLoss::kContinue) {
    throw ConfigError(Text("coordinator.on_loss is continue, but ", launch.size, " processes hold ", members, " members, and with a process all "
                           "of its members would be lost; start mpirun -n ", members, ", or use --set coordinator.on_loss=abort"));
  }
}

/// Members of this process, whose number is their rank.
std::vector<int> MembersHere(const RunConfig& config, int processes, int process) {
  const auto [first, end] = comm::RanksOfProcess(config.population.members, processes, process);
  std::vector<int> members(end - first);
  std::iota(members.begin(), members.end(), first);
  return members;
}

void CheckLink(const RunConfig& config, bool one_host) {
  if (!config.comm.emulate || one_host) return;
  throw ConfigError("comm.emulate needs all ranks on one host, because they read one clock; between hosts the network is real: "
                    "set comm.emulate: null");
}

/// Everything that can go wrong before the first step, on this rank alone.
Shared Prepare(const RunRequest& request, const comm::LaunchInfo& launch) {
  Shared shared{.plan = {.config = ReadRunConfig(request.config_file, request.overrides),
                          .watches = request.watches,
                          .show = request.show}};
  RunPlan& plan = shared.plan;
  plan.run_dir = request.run_dir.value_or(plan.config.dir);
  plan.one_host = launch.local_size == launch.size;
  CheckSize(plan.config, launch);
  CheckLink(plan.config, plan.one_host);
  shared.device = ChooseDevice(plan.config, launch);
  const int local_gpus = torch::cuda::is_available() ? static_cast<int>(torch::cuda::device_count()) : 0;
  shared.backend = comm::ResolveBackend(plan.config.comm, launch, shared.device, local_gpus);
  const std::filesystem::path result = plan.run_dir / "result.json";
  if (std::filesystem::exists(result) && !request.resume) {
    throw ConfigError(Text(plan.run_dir.string(), " holds a finished run (result.json); choose another --run-dir, or remove it"));
  }
  shared.finished = request.resume && std::filesystem::exists(result);
  if (shared.finished) return shared;
  plan.dataset = data::LoadDataset(plan.config.data);
  CheckAgainstData(plan.config, *plan.dataset);
  MakeClassifier(plan.config, *plan.dataset);  // refuses images that are too small for the network
  CheckBudget(plan.config, *plan.dataset);
  return shared;
}

/// NCCL joins all ranks or none: `auto` found none on a host with fewer GPUs than ranks.
void AgreeOnBackend(comm::Communicator& comm, comm::Backend& backend) {
  torch::Tensor with_nccl = at::full({1}, backend == comm::Backend::kNccl ? 1.F : 0.F);
  comm.AllReduceSum(with_nccl);
  if (backend == comm::Backend::kNccl && with_nccl.item<float>() < static_cast<float>(comm.size())) backend = comm::Backend::kMpi;
}

/// "mpi", or "mpi, 8 members in 2 processes"
std::string TransportText(const Shared& shared, int processes) {
  const int members = shared.plan.config.population.members;
  const std::string name(comm::BackendName(shared.backend));
  return processes == 1 || processes == members ? name : Text(name, ", ", members, " members in ", processes, " processes");
}

/// Makes the run directory this run's own and finds where to go on. Collective over `comm`; `ranks_here` are this process's.
void OpenRun(const RunRequest& request, Shared& shared, std::span<const int> ranks_here, comm::Communicator& comm) {
  const bool is_first = comm.rank() == 0;
  RunPlan& plan = shared.plan;
  OnAllRanks(comm, [&] {
    if (is_first) plan.lock = LockRunDirectory(plan.run_dir, request.resume);
  });
  if (request.resume) plan.point = FindResumePoint(plan.run_dir, plan.config, ranks_here, comm, request.may_begin);
  OnAllRanks(comm, [&] {
    if (!is_first) return;
    PrepareRunDirectory(plan.run_dir, plan.config, plan.point);
    if (request.announce) request.announce(plan.config, TransportText(shared, comm.size()));
  });
  OnAllRanks(comm, [&] {
    std::filesystem::create_directories(plan.run_dir);
    plan.metrics = std::make_unique<MetricsFile>(plan.run_dir / "metrics.jsonl");
  });
}

void Report(const RunRequest& request, const RunOutcome& outcome) {
  if (request.report) request.report(outcome);
}

void ReportFinished(const RunRequest& request, const RunPlan& plan) {
  const base::Json result = base::ReadJson(plan.run_dir / "result.json");
  Report(request, {.already_finished = true, .result = result, .run_dir = plan.run_dir});
}

void TrainInThreads(const RunRequest& request, const comm::LaunchInfo& launch, const std::atomic<bool>& interrupted) {
  Shared shared = Prepare(request, launch);
  const RunPlan& plan = shared.plan;
  if (shared.finished) return ReportFinished(request, plan);
  const auto alone = comm::MakeInProcess(comm::MakeInProcessGroup(1), 0, plan.config.comm.timeout);
  OpenRun(request, shared, MembersHere(plan.config, 1, 0), *alone);
  RunOutcome outcome{.run_dir = plan.run_dir};
  comm::RunInProcess(
      plan.config.population.members,
      [&](comm::Communicator& comm) {
        bool all_know = false, others_go_on = false;  // threads need not: the first failure is rethrown below
        base::Json result = RunMember({plan, comm, interrupted, all_know, others_go_on});
        if (comm.rank() == 0) outcome.result = std::move(result);
      },
      plan.config.comm.timeout, shared.device);
  Report(request, outcome);
}

/// How a failure of this process concerns the others.
struct Concern {
  bool all_know = false;      // all fail alike and can leave in order
  bool others_go_on = false;  // they go on without this one
};

/// The members of a process that holds more than one: threads, which meet those of the other processes over `across`. What RunMember returns
/// to the first member, in its process.
base::Json TrainSeveral(const Shared& shared, comm::Communicator& across, const std::atomic<bool>& interrupted, Concern& concern) {
  const RunPlan& plan = shared.plan;
  base::Json result;
  const int first_here = comm::RanksOfProcess(plan.config.population.members, across.size(), across.rank()).first;
  const auto train = [&](comm::Communicator& comm) {
    bool all_know = false, others_go_on = false;
    try {
      base::Json own = RunMember({plan, comm, interrupted, all_know, others_go_on});
      if (comm.rank() == 0) result = std::move(own);
    } catch (...) {
      if (comm.rank() == first_here) concern.all_know = all_know;  // this thread is the one that speaks for the process
      throw;
    }
  };
  comm::RunHybrid(plan.config.population.members, across, train, plan.config.comm.timeout, shared.device);
  return result;
}

void TrainInProcesses(const RunRequest& request, const comm::LaunchInfo& launch, comm::MpiSession& session,
                      const std::atomic<bool>& interrupted, Concern& concern) {
  // Reading a data set may take one host longer than another.
  const auto bootstrap = comm::MakeMpi(session, std::chrono::minutes(5));
  Shared shared;
  const RunPlan& plan = shared.plan;
  concern.all_know = true;
  OnAllRanks(*bootstrap, [&] { shared = Prepare(request, launch); });
  if (shared.finished) {
    if (session.rank() == 0) ReportFinished(request, plan);
    return;
  }
  AgreeOnBackend(*bootstrap, shared.backend);
  OpenRun(request, shared, MembersHere(plan.config, session.size(), session.rank()), *bootstrap);
  concern.all_know = false;
  DataPlane data_plane(session, *bootstrap, {.backend = shared.backend, .timeout = plan.config.comm.timeout, .device = shared.device});
  if (plan.config.population.members > session.size()) {
    const base::Json result = TrainSeveral(shared, data_plane.all(), interrupted, concern);
    if (session.rank() == 0) Report(request, {.result = result, .run_dir = plan.run_dir});
    return;
  }
  MemberRun run{plan, data_plane.all(), interrupted, concern.all_know, concern.others_go_on};
  if (plan.config.coordinator.on_loss == coordinator::OnLoss::kContinue) {
    data_plane.Reserve();
    run.regroup = [&](const NewGroup& left) { return data_plane.Over(left); };
  }
  const base::Json result = RunMember(run);
  const bool is_first = !result.is_null();
  if (is_first) Report(request, {.result = result, .run_dir = plan.run_dir});
  if (session.reduced()) session.EndJob(is_first);
}

int TrainUnderMpi(const RunRequest& request, const comm::LaunchInfo& launch, const std::atomic<bool>& interrupted) {
  comm::MpiSession session;
  base::SetLogPrefix(Text("rank ", session.rank()));
  Concern concern;
  try {
    TrainInProcesses(request, launch, session, interrupted, concern);
    return 0;
  } catch (const std::exception& failure) {
    if (concern.all_know && !session.reduced() && dynamic_cast<const CommError*>(&failure) == nullptr) {
      if (session.rank() == 0) throw;
      return ExitCode(failure);
    }
    std::cerr << Text("rank ", session.rank(), " on ", session.host(), ": ", Describe(failure), "\n") << std::flush;
    if (concern.others_go_on) std::_Exit(ExitCode(failure));  // finalising would wait for them, aborting would end them
    session.Abort(ExitCode(failure));
  }
}

}  // namespace

int TrainPopulation(const RunRequest& request, const std::atomic<bool>& interrupted) {
  const comm::LaunchInfo launch = comm::ReadLaunchInfo([](const char* name) { return std::getenv(name); });
  at::set_num_interop_threads(1);
  if (launch.launcher != "none") return TrainUnderMpi(request, launch, interrupted);
  TrainInThreads(request, launch, interrupted);
  return 0;
}

}  // namespace basin::trainer
