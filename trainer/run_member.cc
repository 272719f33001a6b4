#include "trainer/run_member.h"

#include <ATen/Parallel.h>

#include <array>

#include "base/error.h"
#include "base/log.h"
#include "trainer/checkpoint.h"
#include "trainer/finish.h"

namespace basin::trainer {
namespace {

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

/// What changes when the group does: the communicator, its ledger and the strategy over it.
struct Group {
  Group(const RunConfig& config, const RunShape& shape, Member& member, comm::Communicator& over, const base::Clock& clock)
      : comm(over), counting(over, clock), strategy(MakeStrategy(config.strategy, shape)) {
    MemberState state = member.state();
    strategy->Begin(state, comm);
  }

  comm::Communicator& comm;
  comm::CountingCommunicator counting;
  std::unique_ptr<Strategy> strategy;
};

/// The new strategy goes on where the old one was; what it holds of the population (not of the member) is alike on all ranks.
void HandOver(Strategy& from, Strategy& to, comm::Communicator& comm) {
  const auto before = from.State(), after = to.State();
  BASIN_CHECK(before.size() == after.size(), before.size(), " tensors became ", after.size());
  for (size_t k = 0; k < after.size(); ++k) {
    after[k].second->copy_(*before[k].second);
    comm.Broadcast(*after[k].second, /*root=*/0);
  }
}

class Runner {
 public:
  explicit Runner(const MemberRun& run)
      : run_(run),
        plan_(run.plan),
        started_(clock_.Seconds()),
        member_(plan_.config, *plan_.dataset, run.comm.rank(), run.comm.device()),
        faults_(plan_.config.faults, run.comm.rank()),
        shape_(ShapeOf(plan_.config, *plan_.dataset, member_)) {
    Handshake(run.comm, plan_.config, member_, shape_.total_steps);
    if (plan_.config.population.init == Init::kSame) run.comm.Broadcast(member_.params().values(), /*root=*/0);
    group_ = std::make_unique<Group>(plan_.config, shape_, member_, run.comm, clock_);
    if (plan_.point) {
      const RestoredRank restored = GoOn(*plan_.point, member_, *group_->strategy, group_->counting);
      at_ = restored.loop;
      started_ -= restored.elapsed;
    }
    const ControlPlan control{.config = plan_.config, .run_dir = plan_.run_dir, .step = at_.step, .one_host = plan_.one_host, .apart = run.regroup != nullptr};
    control_ = Control::Make(control, run.comm);
    if (control_) faults_.SetMute([this](double seconds) { control_->client().Mute(std::chrono::duration<double>(seconds)); });
  }

  /// With a goodbye to the coordinator that tells how it ended.
  base::Json Run() {
    using coordinator::LeaveKind;
    try {
      base::Json result = TrainPastLosses();
      if (control_) control_->Leave(LeaveKind::kDone, "finished");
      PartFromTheOthers();
      return result;
    } catch (const Interrupted& interruption) {
      if (control_) control_->Leave(LeaveKind::kInterrupted, interruption.what());
      throw;
    } catch (const std::exception& failure) {
      run_.others_go_on = can_regroup() && control_->others_go_on();
      if (control_) control_->Leave(LeaveKind::kFailed, failure.what());
      throw;
    }
  }

 private:
  bool can_regroup() const { return run_.regroup && control_ && control_->continues(); }
  bool lost_some() const { return shape_.members < plan_.config.population.members; }

  base::Json TrainPastLosses() {
    std::optional<NewGroup> left;
    while (true) {
      try {
        if (left) TakeUp(*left);
        return TrainToResult();
      } catch (const CommError& failure) {
        if (!can_regroup()) throw;
        base::LogDebug(Text(failure.what(), "; asking the coordinator who is left"));
        left = control_->Regroup(at_.step);
        if (!left) throw;  // nobody was lost
      }
    }
  }

  base::Json TrainToResult() {
    const RankContext context{.config = plan_.config,
                              .dataset = *plan_.dataset,
                              .comm = group_->comm,
                              .clock = clock_,
                              .metrics = plan_.metrics.get(),
                              .control = control_.get(),
                              .faults = plan_.config.faults.empty() ? nullptr : &faults_,
                              .trace = plan_.config.report.trace ? &trace_ : nullptr,
                              .event_folder = EventFolder(),
                              .show = group_->comm.rank() == 0 ? plan_.show : nullptr};
    CheckpointPlan checkpoints{.run_dir = plan_.run_dir,
                               .total_steps = shape_.total_steps,
                               .first_step = std::max(at_.step, at_.alone_until),
                               .started = started_,
                               .interrupted = run_.interrupted,
                               .saves = !lost_some()};
    if (plan_.lock && !lost_some()) checkpoints.check_directory = [this] { plan_.lock->CheckStillThere(); };
    Checkpointer checkpointer(context, member_, *group_->strategy, group_->counting, std::move(checkpoints), run_.all_know);
    Train(context, member_, *group_->strategy, group_->counting, at_,
          [&](const LoopState& at, MetricsWriter& metrics) { checkpointer.AfterStep(at, metrics); });
    const FinishInput input{.forecast = group_->strategy->Predict(),
                            .times = at_.times,
                            .started = started_,
                            .run_dir = plan_.run_dir,
                            .steps = shape_.total_steps,
                            .lost = lost_};
    return Finish(context, member_, group_->counting.ledger(), input);
  }

  /// Goes on with those that are left.
  void TakeUp(const NewGroup& left) {
    regrouped_.push_back(run_.regroup(left));
    comm::Communicator& comm = *regrouped_.back();
    control_->Watch(comm);
    shape_.members = comm.size();
    auto group = std::make_unique<Group>(plan_.config, shape_, member_, comm, clock_);
    HandOver(*group_->strategy, *group->strategy, comm);
    group->counting.Restore(group_->counting.ledger());
    group_ = std::move(group);
    at_.alone_until = left.step;
    if (comm.rank() != 0) return;
    InheritLock();
    lost_ = control_->Lost();
    base::LogWarning(Text("goes on from step ", left.step, " with ", shape_.members, " of ", plan_.config.population.members,
                          " members; lost: ", lost_.dump()));
    RecordLoss(left);
  }

  /// The directory stays this run's own when the rank that had locked it is gone.
  void InheritLock() {
    if (plan_.lock || inherited_lock_) return;
    try {
      inherited_lock_ = std::make_unique<RunLock>(plan_.run_dir, std::chrono::milliseconds(0));
    } catch (const ConfigError& held) {
      base::LogDebug(held.what());  // that rank was put out, or is still dying: it holds it
    }
  }

  void RecordLoss(const NewGroup& left) {
    MetricsWriter metrics(plan_.metrics.get(), member_.id(), clock_, nullptr, at_.records);
    const int64_t epoch = left.step / shape_.steps_per_epoch;
    metrics.Record("event", left.step, epoch, {{"event", "lost"}, {"members", left.members}, {"lost", lost_}});
    metrics.Flush();
    at_.records = metrics.records();
  }

  /// Rank 0's coordinator stays for all goodbyes, and nobody finalises while a peer still reads from it.
  void PartFromTheOthers() {
    try {
      group_->comm.Barrier();
    } catch (const CommError& failure) {
      if (!can_regroup()) throw;
      base::LogWarning(Text("the result is written; parting from the others failed: ", failure.what()));
    }
  }

  /// TensorBoard shows a folder as a curve: member 0's is the run directory, the others have one each inside.
  std::filesystem::path EventFolder() const {
    if (!plan_.config.report.tensorboard) return {};
    return member_.id() == 0 ? plan_.run_dir : plan_.run_dir / Text("member-", member_.id());
  }

  const base::SystemClock clock_{};
  const MemberRun& run_;
  const RunPlan& plan_;
  double started_;
  Member member_;
  Faults faults_;
  Trace trace_{clock_};
  RunShape shape_;
  LoopState at_;
  base::Json lost_ = base::Json::array();  // known to the first rank, which tells it
  std::vector<std::unique_ptr<comm::Communicator>> regrouped_;
  std::unique_ptr<Group> group_;
  std::unique_ptr<RunLock> inherited_lock_;
  std::unique_ptr<Control> control_;  // asked by the communicators, which outlive it
};

}  // namespace

base::Json RunMember(const MemberRun& run) {
  at::set_num_threads(run.plan.config.population.threads_per_member);
  base::SetLogPrefix(run.comm.size() > 1 ? Text("rank ", run.comm.rank()) : "");
  return Runner(run).Run();
}

}  // namespace basin::trainer
