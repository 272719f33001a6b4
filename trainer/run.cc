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
#include "trainer/checkpoint.h"
#include "trainer/control.h"
#include "trainer/finish.h"
#include "trainer/run_directory.h"

namespace basin::trainer {
namespace {

/// What all ranks of a process share.
struct Shared {
  RunConfig config;
  std::shared_ptr<const data::Dataset> dataset;
  std::filesystem::path run_dir;
  std::unique_ptr<MetricsFile> metrics;
  comm::LaunchInfo launch;
  comm::Backend backend = comm::Backend::kInProcess;
  torch::Device device = torch::kCPU;  // type; each rank adds its index
  bool finished = false;               // result.json is there, and --resume was given
  std::unique_ptr<RunLock> lock;       // rank 0
  std::optional<ResumePoint> point;    // to go on from
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
  Shared shared{.config = ReadRunConfig(request.config_file, request.overrides)};
  shared.launch = launch;
  shared.run_dir = request.run_dir.value_or(shared.config.dir);
  CheckSize(shared.config, launch);
  shared.device = ChooseDevice(shared.config, launch);
  const int local_gpus = torch::cuda::is_available() ? static_cast<int>(torch::cuda::device_count()) : 0;
  shared.backend = comm::ResolveBackend(shared.config.comm, launch, shared.device, local_gpus);
  if (std::filesystem::exists(shared.run_dir / "result.json") && !request.resume) {
    throw ConfigError(Text(shared.run_dir.string(), " holds a finished run (result.json); choose another --run-dir, or remove it"));
  }
  shared.finished = request.resume && std::filesystem::exists(shared.run_dir / "result.json");
  if (shared.finished) return shared;
  shared.dataset = data::LoadDataset(shared.config.data);
  CheckAgainstData(shared.config, *shared.dataset);
  MakeClassifier(shared.config, *shared.dataset);  // refuses images that are too small for the network
  return shared;
}

/// All ranks must mean the same thing by [P] and by a step.
void Handshake(comm::Communicator& comm, const RunConfig& config, Member& member, int64_t total_steps) {
  const uint64_t config_hash = std::stoull(ConfigHash(config), nullptr, 16);
  const std::array<int64_t, 4> own{static_cast<int64_t>(config_hash),
                                   static_cast<int64_t>(member.params().layout_hash()), total_steps,
                                   config.checkpoint.every_steps};
  const torch::Tensor mine = torch::tensor(at::ArrayRef<int64_t>(own), torch::kInt64).to(comm.device());
  const torch::Tensor all = comm.AllGather(mine).to(torch::kCPU);
  constexpr std::array kWhat{"configuration", "layout of the weights", "number of steps", "checkpoint.every_steps"};
  for (int rank = 0; rank < comm.size(); ++rank) {
    for (size_t k = 0; k < own.size(); ++k) {
      if (all[rank][k].item<int64_t>() != all[0][k].item<int64_t>()) {
        throw ConfigError(Text("rank ", rank, " has another ", kWhat[k], " than rank 0; give all ranks the same files"));
      }
    }
  }
}

/// TensorBoard shows a folder as a curve: member 0's is the run directory, the others have one each inside.
std::filesystem::path EventFolder(const Shared& shared, int member) {
  if (!shared.config.report.tensorboard) return {};
  return member == 0 ? shared.run_dir : shared.run_dir / Text("member-", member);
}

/// The result of `work`, with a goodbye to the coordinator that tells how it ended. Collective over `comm` when it ended well.
template <typename Work>
base::Json Leaving(Control* control, comm::Communicator& comm, Work&& work) {
  try {
    base::Json result = work();
    if (control != nullptr) control->Leave(coordinator::LeaveKind::kDone, "finished");
    comm.Barrier();  // rank 0's coordinator stays for all goodbyes; nobody finalises while a peer still reads from it
    return result;
  } catch (const Interrupted& interruption) {
    if (control != nullptr) control->Leave(coordinator::LeaveKind::kInterrupted, interruption.what());
    throw;
  } catch (const std::exception& failure) {
    if (control != nullptr) control->Leave(coordinator::LeaveKind::kFailed, failure.what());
    throw;
  }
}

base::Json TrainToResult(const RankContext& context, Member& member, Strategy& strategy, comm::CountingCommunicator& counting,
                         const LoopState& start, CheckpointPlan plan, bool& all_know) {
  FinishInput input{.started = plan.started, .run_dir = plan.run_dir, .steps = plan.total_steps};
  Checkpointer checkpointer(context, member, strategy, counting, std::move(plan), all_know);
  input.times = Train(context, member, strategy, counting, start, [&](const LoopState& at, MetricsWriter& metrics) {
    checkpointer.AfterStep(at, metrics);
  });
  input.forecast = strategy.Predict();
  return Finish(context, member, counting.ledger(), input);
}

/// One member from its first step to the result. Collective over `comm`.
base::Json RunMember(const RunRequest& request, const Shared& shared, comm::Communicator& comm,
                     const std::atomic<bool>& interrupted, bool& all_know) {
  const base::SystemClock clock;
  double started = clock.Seconds();
  const RunConfig& config = shared.config;
  at::set_num_threads(config.population.threads_per_member);
  base::SetLogPrefix(comm.size() > 1 ? Text("rank ", comm.rank()) : "");

  Member member(config, *shared.dataset, comm.rank(), comm.device());
  const RunShape shape = ShapeOf(config, *shared.dataset, member);
  Handshake(comm, config, member, shape.total_steps);
  if (config.population.init == Init::kSame) comm.Broadcast(member.params().values(), /*root=*/0);
  const std::unique_ptr<Strategy> strategy = MakeStrategy(config.strategy, shape);
  MemberState state = member.state();
  strategy->Begin(state, comm);

  comm::CountingCommunicator counting(comm, clock);
  LoopState start;
  if (shared.point) {
    const RestoredRank restored = GoOn(*shared.point, member, *strategy, counting);
    start = restored.loop;
    started -= restored.elapsed;
  }
  const std::unique_ptr<Control> control = Control::Make({.config = config,
                                                          .run_dir = shared.run_dir,
                                                          .step = start.step,
                                                          .one_host = shared.launch.local_size == shared.launch.size},
                                                         comm);
  const RankContext context{.config = config,
                            .dataset = *shared.dataset,
                            .comm = comm,
                            .clock = clock,
                            .metrics = shared.metrics.get(),
                            .control = control.get(),
                            .event_folder = EventFolder(shared, comm.rank()),
                            .show = comm.rank() == 0 ? request.show : nullptr};
  CheckpointPlan plan{.run_dir = shared.run_dir,
                      .total_steps = shape.total_steps,
                      .first_step = start.step,
                      .started = started,
                      .interrupted = interrupted};
  if (comm.rank() == 0) plan.check_directory = [&shared] { shared.lock->CheckStillThere(); };
  const auto work = [&] { return TrainToResult(context, member, *strategy, counting, start, std::move(plan), all_know); };
  return Leaving(control.get(), comm, work);
}

/// Makes the run directory this run's own and finds where to go on. Collective over `comm`; `ranks_here` are this process's.
void OpenRun(const RunRequest& request, Shared& shared, std::span<const int> ranks_here, comm::Communicator& comm) {
  const bool is_first = comm.rank() == 0;
  OnAllRanks(comm, [&] {
    if (is_first) shared.lock = LockRunDirectory(shared.run_dir, request.resume);
  });
  if (request.resume) shared.point = FindResumePoint(shared.run_dir, shared.config, ranks_here, comm);
  OnAllRanks(comm, [&] {
    if (!is_first) return;
    PrepareRunDirectory(shared.run_dir, shared.config, shared.point);
    if (request.announce) request.announce(shared.config, std::string(comm::BackendName(shared.backend)));
  });
  OnAllRanks(comm, [&] {
    std::filesystem::create_directories(shared.run_dir);
    shared.metrics = std::make_unique<MetricsFile>(shared.run_dir / "metrics.jsonl");
  });
}

RunOutcome FinishedAlready(const Shared& shared, bool prints) {
  return {.prints = prints, .already_finished = true,
          .result = base::ReadJson(shared.run_dir / "result.json"), .run_dir = shared.run_dir};
}

RunOutcome TrainInThreads(const RunRequest& request, const comm::LaunchInfo& launch, const std::atomic<bool>& interrupted) {
  Shared shared = Prepare(request, launch);
  if (shared.finished) return FinishedAlready(shared, true);
  std::vector<int> ranks(shared.config.population.members);
  std::iota(ranks.begin(), ranks.end(), 0);
  const auto alone = comm::MakeInProcess(comm::MakeInProcessGroup(1), 0, shared.config.comm.timeout);
  OpenRun(request, shared, ranks, *alone);
  RunOutcome outcome{.run_dir = shared.run_dir};
  comm::RunInProcess(
      shared.config.population.members,
      [&](comm::Communicator& comm) {
        bool all_know = false;  // threads need not: the first failure is rethrown below
        base::Json result = RunMember(request, shared, comm, interrupted, all_know);
        if (comm.rank() == 0) outcome.result = std::move(result);
      },
      shared.config.comm.timeout, shared.device);
  return outcome;
}

std::unique_ptr<comm::Communicator> MakeDataPlane(comm::MpiSession& session, comm::Communicator& bootstrap,
                                                  const Shared& shared) {
#if defined(BASIN_WITH_CUDA)
  if (shared.backend == comm::Backend::kNccl) return comm::MakeNccl(bootstrap, shared.device, shared.config.comm.timeout);
#endif
  (void)bootstrap;
  return comm::MakeMpi(session, shared.config.comm.timeout, shared.device);
}

RunOutcome TrainUnderMpi(const RunRequest& request, const comm::LaunchInfo& launch, const std::atomic<bool>& interrupted) {
  comm::MpiSession session;
  base::SetLogPrefix(Text("rank ", session.rank()));
  bool all_know = false;  // all ranks fail alike and can leave in order
  try {
    // Reading a data set may take one host longer than another.
    const auto bootstrap = comm::MakeMpi(session, std::chrono::minutes(5));
    Shared shared;
    all_know = true;
    OnAllRanks(*bootstrap, [&] { shared = Prepare(request, launch); });
    if (shared.finished) return FinishedAlready(shared, session.rank() == 0);
    OpenRun(request, shared, std::array{session.rank()}, *bootstrap);
    all_know = false;
    const auto comm = MakeDataPlane(session, *bootstrap, shared);
    base::Json result = RunMember(request, shared, *comm, interrupted, all_know);
    return {.prints = session.rank() == 0, .result = std::move(result), .run_dir = shared.run_dir};
  } catch (const std::exception& failure) {
    if (all_know && dynamic_cast<const CommError*>(&failure) == nullptr) {
      if (session.rank() == 0) throw;
      return {.prints = false, .exit_code = ExitCode(failure)};
    }
    std::cerr << Text("rank ", session.rank(), " on ", session.host(), ": ", Describe(failure), "\n") << std::flush;
    session.Abort(ExitCode(failure));
  }
}

}  // namespace

RunOutcome TrainPopulation(const RunRequest& request, const std::atomic<bool>& interrupted) {
  const comm::LaunchInfo launch = comm::ReadLaunchInfo([](const char* name) { return std::getenv(name); });
  at::set_num_interop_threads(1);
  if (launch.launcher == "none") return TrainInThreads(request, launch, interrupted);
  return TrainUnderMpi(request, launch, interrupted);
}

}  // namespace basin::trainer
