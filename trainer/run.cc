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
#include "comm/in_process.h"
#include "comm/mpi.h"
#if defined(BASIN_WITH_CUDA)
#include "comm/nccl.h"
#endif
#include "data/registry.h"
#include "trainer/agreement.h"
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

void CheckSize(const RunConfig& config, const comm::LaunchInfo& launch) {
  if (launch.launcher == "none" || launch.size == config.population.members) return;
  throw ConfigError(Text("population.members is ", config.population.members, ", but the launcher started ", launch.size,
                         " processes; one member is one process: start mpirun -n ", config.population.members,
                         ", or use --set population.members=", launch.size));
}

/// Everything that can go wrong before the first step, on this rank alone.
Shared Prepare(const RunRequest& request, const comm::LaunchInfo& launch) {
  Shared shared{.plan = {.config = ReadRunConfig(request.config_file, request.overrides), .show = request.show}};
  RunPlan& plan = shared.plan;
  plan.run_dir = request.run_dir.value_or(plan.config.dir);
  plan.one_host = launch.local_size == launch.size;
  CheckSize(plan.config, launch);
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
  return shared;
}

/// NCCL joins all ranks or none: `auto` found none on a host with fewer GPUs than ranks.
void AgreeOnBackend(comm::Communicator& comm, comm::Backend& backend) {
  torch::Tensor with_nccl = at::full({1}, backend == comm::Backend::kNccl ? 1.F : 0.F);
  comm.AllReduceSum(with_nccl);
  if (backend == comm::Backend::kNccl && with_nccl.item<float>() < static_cast<float>(comm.size())) backend = comm::Backend::kMpi;
}

/// Makes the run directory this run's own and finds where to go on. Collective over `comm`; `ranks_here` are this process's.
void OpenRun(const RunRequest& request, Shared& shared, std::span<const int> ranks_here, comm::Communicator& comm) {
  const bool is_first = comm.rank() == 0;
  RunPlan& plan = shared.plan;
  OnAllRanks(comm, [&] {
    if (is_first) plan.lock = LockRunDirectory(plan.run_dir, request.resume);
  });
  if (request.resume) plan.point = FindResumePoint(plan.run_dir, plan.config, ranks_here, comm);
  OnAllRanks(comm, [&] {
    if (!is_first) return;
    PrepareRunDirectory(plan.run_dir, plan.config, plan.point);
    if (request.announce) request.announce(plan.config, std::string(comm::BackendName(shared.backend)));
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
  std::vector<int> ranks(plan.config.population.members);
  std::iota(ranks.begin(), ranks.end(), 0);
  const auto alone = comm::MakeInProcess(comm::MakeInProcessGroup(1), 0, plan.config.comm.timeout);
  OpenRun(request, shared, ranks, *alone);
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

/// The communicators that members exchange over.
class DataPlane {
 public:
  DataPlane(comm::MpiSession& session, comm::Communicator& bootstrap, const Shared& shared)
      : session_(session), shared_(shared), timeout_(shared.plan.config.comm.timeout) {
    all_ = is_nccl() ? OverNccl(bootstrap) : comm::MakeMpi(session, timeout_, shared.device);
  }
  comm::Communicator& all() { return *all_; }

  /// Each loss takes a member at least, and two must be left.
  void Reserve() {
    session_.ReserveGroups(session_.size() - 1);
    const char* recovery = std::getenv("OMPI_MCA_orte_enable_recovery");
    if (session_.rank() == 0 && (recovery == nullptr || std::string_view(recovery) != "1")) {
      base::LogWarning("coordinator.on_loss is continue, but mpirun ends all ranks when one dies; start it with --enable-recovery");
    }
  }
  std::unique_ptr<comm::Communicator> Over(const NewGroup& left) {
    const comm::MpiGroup group{.number = static_cast<int>(left.epoch) - 2, .members = left.members};
    if (!is_nccl()) return comm::MakeMpiGroup(session_, group, timeout_, shared_.device);
    bootstraps_.push_back(comm::MakeMpiGroup(session_, group, timeout_));
    return OverNccl(*bootstraps_.back());
  }

 private:
  bool is_nccl() const { return shared_.backend == comm::Backend::kNccl; }
  std::unique_ptr<comm::Communicator> OverNccl(comm::Communicator& bootstrap) const {
#if defined(BASIN_WITH_CUDA)
    return comm::MakeNccl(bootstrap, shared_.device, timeout_);
#else
    throw CheckFailed(Text("built without CUDA, and yet nccl was chosen for ", bootstrap.size(), " ranks"));
#endif
  }

  comm::MpiSession& session_;
  const Shared& shared_;
  std::chrono::milliseconds timeout_;
  std::unique_ptr<comm::Communicator> all_;
  std::vector<std::unique_ptr<comm::Communicator>> bootstraps_;
};

/// How a failure of this process concerns the others.
struct Concern {
  bool all_know = false;      // all fail alike and can leave in order
  bool others_go_on = false;  // they go on without this one
};

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
  OpenRun(request, shared, std::array{session.rank()}, *bootstrap);
  concern.all_know = false;
  DataPlane data_plane(session, *bootstrap, shared);
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
