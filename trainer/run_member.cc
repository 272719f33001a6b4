#include "trainer/run_member.h"

#include <ATen/Parallel.h>

#include <algorithm>

#include "base/error.h"
#include "base/log.h"
#include "trainer/checkpoint/checkpoint.h"
#include "trainer/exchange_group.h"
#include "trainer/finish.h"
#include "trainer/plan/budget.h"
#include "trainer/plan/plan.h"

namespace basin::trainer {
namespace {

class Runner {
 public:
  explicit Runner(const MemberRun& run)
      : run_(run),
        plan_(run.plan),
        started_(clock_.Seconds()),
        member_(plan_.config, *plan_.dataset, run.comm.rank(), run.comm.device()),
        faults_(plan_.config.faults, run.comm.rank()),
        shape_(ShapeOf(plan_.config, *plan_.dataset, member_)),
        strategy_(FitBudget(plan_.config.strategy, shape_)) {
    CheckSameMeaning(run.comm, plan_.config, member_, shape_.total_steps);
    if (plan_.config.population.init == Init::kSame) run.comm.Broadcast(member_.params().values(), /*root=*/0);
    group_ = std::make_unique<ExchangeGroup>(plan_.config, strategy_, shape_, member_, run.comm, clock_);
    if (plan_.point) Restore(*plan_.point);
    const ControlPlan control{.config = plan_.config, .run_dir = plan_.run_dir, .step = at_.step, .one_host = plan_.one_host,
                              .watches = plan_.watches && run.comm.rank() == 0, .apart = run.regroup != nullptr};
    control_ = Control::Make(control, run.comm);
    if (!lost_.empty()) CheckThatLossesAreSurvived();
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

  /// Who was lost before the checkpoint stays lost, whether its process is back or not.
  void Restore(const ResumePoint& point) {
    lost_ = point.manifest.lost;
    if (const base::Json* own = OwnLoss()) {
      at_.step = own->at("step");
      return;
    }
    const RestoredRank restored = GoOn(point, member_, *group_->strategy, group_->counting);
    at_ = restored.loop;
    started_ -= restored.elapsed;
  }

  /// What is known of the loss of this rank's member; null: it was not lost.
  const base::Json* OwnLoss() const {
    const auto own = std::ranges::find_if(lost_, [&](const base::Json& one) { return one.at("member") == member_.id(); });
    return own == lost_.end() ? nullptr : &*own;
  }

  void CheckThatLossesAreSurvived() const {
    if (can_regroup()) return;
    throw ConfigError(Text("--resume: the checkpoint of step ", plan_.point->manifest.step, " was written after a loss (", lost_.dump(),
                           "), and this run cannot go on without a member; start it under mpirun with coordinator.on_loss=continue and a "
                           "coordinator, as it was"));
  }

  /// The rank of a member that was lost before stands aside, the others form the group without it.
  std::optional<NewGroup> PartFromTheLost() {
    if (lost_.empty()) return std::nullopt;
    if (const base::Json* own = OwnLoss()) {
      throw CommError(Text("member ", member_.id(), " was lost at step ", own->at("step").get<int64_t>(), ", before the checkpoint that the "
                           "run goes on from (", own->at("reason").get<std::string>(), "); the others go on without it"));
    }
    return control_->Regroup(at_.step);
  }

  base::Json TrainPastLosses() {
    std::optional<NewGroup> left = PartFromTheLost();
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
                              .member_events = EventFolder(Text("member-", member_.id())),
                              .run_events = group_->comm.rank() == 0 ? EventFolder("") : "",
                              .show = group_->comm.rank() == 0 ? plan_.show : nullptr};
    CheckpointPlan checkpoints{.run_dir = plan_.run_dir,
                               .total_steps = shape_.total_steps,
                               .first_step = std::max(at_.step, at_.alone_until),
                               .started = started_,
                               .interrupted = run_.interrupted,
                               .lost = lost_};
    if (const RunLock* lock = plan_.lock ? plan_.lock.get() : inherited_lock_.get()) {
      checkpoints.check_directory = [lock] { lock->CheckStillThere(); };
    }
    Checkpointer checkpointer(context, member_, *group_->strategy, group_->counting, std::move(checkpoints), run_.all_know);
    Train(context, member_, *group_->strategy, group_->counting, at_,
          [&](const LoopState& at, MetricsWriter& metrics) { checkpointer.AfterStep(at, metrics); });
    const Forecast forecast = group_->strategy->Predict();
    const FinishInput input{.forecast = forecast,
                            .times = at_.times,
                            .started = started_,
                            .run_dir = plan_.run_dir,
                            .steps = shape_.total_steps,
                            .plan = ForetoldOf(forecast),
                            .fitted = HasBudget(plan_.config.strategy) ? std::optional(strategy_) : std::nullopt,
                            .lost = lost_,
                            .interrupted = &run_.interrupted};
    return Finish(context, member_, group_->counting.ledger(), input);
  }

  base::Json ForetoldOf(const Forecast& forecast) const {
    const std::optional<comm::Link>& link = plan_.config.comm.emulate;
    const std::optional<LinkTimes> times = link ? std::optional<LinkTimes>(*link) : std::nullopt;
    return PlanJson(shape_, forecast, times ? &*times : nullptr);
  }

  /// Goes on with those that are left.
  void TakeUp(const NewGroup& left) {
    regrouped_.push_back(run_.regroup(left));
    comm::Communicator& comm = *regrouped_.back();
    control_->Watch(comm);
    shape_.members = comm.size();
    auto group = std::make_unique<ExchangeGroup>(plan_.config, strategy_, shape_, member_, comm, clock_);
    group->TakeOver(*group_);
    group_ = std::move(group);
    at_.alone_until = left.step;
    if (comm.rank() != 0) return;
    InheritLock();
    const bool is_news = UpdateLost();
    base::LogWarning(Text("goes on from step ", left.step, " with ", shape_.members, " of ", plan_.config.population.members,
                          " members; lost: ", lost_.dump()));
    if (is_news) RecordLoss(left);
  }

  /// True when the coordinator names somebody who was not known to be lost.
  bool UpdateLost() {
    base::Json lost = control_->Lost();
    size_t known = 0;
    for (base::Json& one : lost) {
      for (const base::Json& before : lost_) {
        if (before.at("member") != one.at("member")) continue;
        one = before;  // the first account: what the coordinator saw of a resumed run is that it stood aside
        ++known;
      }
    }
    lost_ = std::move(lost);
    return known < lost_.size();
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
    MetricsWriter metrics(plan_.metrics.get(), member_.id(), clock_, {}, at_.records);
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

  /// TensorBoard shows a folder as a curve: the run directory is the population's, each member has one inside.
  std::filesystem::path EventFolder(const std::string& inside) const {
    return plan_.config.report.tensorboard ? plan_.run_dir / inside : std::filesystem::path();
  }

  const base::SystemClock clock_{};
  const MemberRun& run_;
  const RunPlan& plan_;
  double started_;
  Member member_;
  Faults faults_;
  Trace trace_{clock_};
  RunShape shape_;
  const StrategyOptions strategy_;  // with its budget fitted to the whole population
  LoopState at_;
  base::Json lost_ = base::Json::array();  // Manifest::lost; news reach the first rank, which tells them
  std::vector<std::unique_ptr<comm::Communicator>> regrouped_;
  std::unique_ptr<ExchangeGroup> group_;
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
