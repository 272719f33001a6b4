#include "trainer/loop.h"

#include <unistd.h>

#include "base/error.h"
#include "merge/renormalise.h"
#include "models/layers.h"
#include "trainer/checkpoint/state.h"
#include "trainer/consensus.h"
#include "trainer/measurements.h"
#include "trainer/population.h"
#include "trainer/schedule.h"

namespace basin::trainer {
namespace {

std::unique_ptr<report::EventWriter> OpenEvents(const std::filesystem::path& folder) {
  if (folder.empty()) return nullptr;
  const double now = base::UnixSeconds();
  return std::make_unique<report::EventWriter>(folder / report::EventFileName(now, "basin", getpid()), now);
}

/// One rank's pass through the run.
class Loop {
 public:
  Loop(const RankContext& context, Member& member, Strategy& strategy, comm::CountingCommunicator& counting,
       LoopState& at)
      : context_(context),
        member_(member),
        strategy_(strategy),
        counting_(counting),
        metrics_(context.metrics, member.id(), context.clock,
                 {OpenEvents(context.member_events), OpenEvents(context.run_events)}, at.records),
        total_steps_(TotalSteps(context.config, context.dataset)),
        steps_per_epoch_(StepsPerEpoch(context.config, context.dataset)),
        at_(at),
        measurements_(std::string(StrategyName(context.config.strategy))) {
    if (goes_on()) counting.OnExchange([this] { before_.Take(LiveTensors(member_, strategy_)); });
  }
  ~Loop() {
    counting_.OnExchange({});
    at_.records = metrics_.records();
  }

  void Run(const BetweenSteps& between_steps) {
    while (at_.step < total_steps_) {
      step_ = at_.step;
      Tell(coordinator::Phase::kTraining, "step");
      Step();
      if ((step_ + 1) % steps_per_epoch_ == 0) EndEpoch();
      Show();
      Report();
      at_.records = metrics_.records();
      if (between_steps && !alone()) between_steps(at_, metrics_);
    }
    metrics_.Flush();
  }

 private:
  int64_t epoch() const { return step_ / steps_per_epoch_; }
  bool alone() const { return step_ < at_.alone_until; }

  void Tell(coordinator::Phase phase, const char* operation) {
    context_.Tell(phase, step_, operation);
    if (context_.faults != nullptr) context_.faults->Strike(operation, step_);
  }

  void Step() {
    const base::Stopwatch watch(context_.clock);
    const TrainOptions& own = context_.config.members.at(member_.id()).train;
    const double lr = LearningRate(own.schedule, own.optimizer.lr, step_, total_steps_);
    const torch::Tensor loss = member_.TrainStep(step_, lr);
    metrics_.Step(step_, epoch(), lr, loss);
    at_.times.train += watch.Seconds();
    at_.step = step_ + 1;
    // The strategy sees the population's learning rate: all ranks must scale their exchange alike.
    const TrainOptions& common = context_.config.train;
    Exchange([&](MemberState& state) {
      strategy_.AfterStep({.step = step_, .lr = LearningRate(common.schedule, common.optimizer.lr, step_, total_steps_),
                           .train_seconds = at_.times.train},
                          state, counting_);
    });
  }

  void EndEpoch() {
    metrics_.Flush();  // what follows may take long
    Exchange([&](MemberState& state) { strategy_.AfterEpoch({.epoch = epoch()}, state, counting_); });
    metrics_.Record("epoch", step_, epoch(), {{"bytes", counting_.ledger().payload_bytes}});
    const int64_t every = context_.config.evaluate.every_epochs;
    const bool last = step_ + 1 == total_steps_;  // the finish evaluates the final member
    if (every > 0 && (epoch() + 1) % every == 0 && !last) EvaluateMember();
  }

  template <typename Call>
  void Exchange(Call&& call) {
    if (alone()) return;
    Tell(coordinator::Phase::kTraining, "exchange");
    const comm::Ledger before = counting_.ledger();
    MemberState state = member_.state();
    try {
      call(state);
    } catch (...) {
      if (goes_on() && counting_.ledger().exchanges > before.exchanges) Undo();
      throw;
    }
    if (context_.trace != nullptr) context_.trace->End();
    const comm::Ledger& after = counting_.ledger();
    if (after.exchanges == before.exchanges) return;
    metrics_.Exchange(step_, epoch(), before, after);
    measurements_.AddExchange(after.seconds - before.seconds);
  }

  /// Without members that are lost. Then a half-done exchange leaves no trace; the price is one copy of the tensors.
  bool goes_on() const { return context_.control != nullptr && context_.control->continues(); }
  void Undo() {
    models::StateDict live = LiveTensors(member_, strategy_);
    before_.PutBack(live);
  }

  void EvaluateMember() {
    Tell(coordinator::Phase::kEvaluation, "evaluation");
    const base::Stopwatch watch(context_.clock);
    const Bench bench{context_.dataset, context_.config.evaluate, member_.params().values().device(), context_.config.seed};
    const Score score = Evaluate(member_.model(), bench, context_.dataset.test);
    metrics_.Record("eval", step_, epoch(), {{"split", "test"}, {"loss", score.loss}, {"accuracy", score.accuracy}});
    if (!alone() && context_.comm.size() > 1) ComparePopulation(score);
    at_.times.evaluate += watch.Seconds();
  }

  /// Collective; not the strategy's, so not in the ledger.
  void ComparePopulation(const Score& own) {
    std::vector<double> row = Sketch(member_.params().values(), context_.config.seed, step_);
    row.insert(row.end(), {own.loss, own.accuracy});
    const torch::Tensor rows = GatherDoubles(row, context_.comm);
    if (context_.comm.rank() != 0) return;
    const torch::Tensor mean = rows.mean(0);
    metrics_.Record("population", step_, epoch(),
                    {{"members", context_.comm.size()},
                     {"mean_loss", mean[kSketchSums].item<double>()},
                     {"mean_accuracy", mean[kSketchSums + 1].item<double>()},
                     {"consensus_squared", ConsensusSquared(rows.narrow(1, 0, kSketchSums))}});
  }

  void Report() {
    if (context_.control == nullptr || !context_.control->ReportDue()) return;
    context_.control->Report(measurements_.List(at_.step, metrics_.last_loss(), counting_.ledger()));
  }

  void Show() {
    if (!context_.show) return;
    context_.show({.step = step_ + 1,
                   .total_steps = total_steps_,
                   .epoch = epoch(),
                   .loss = metrics_.last_loss(),
                   .bytes_sent = counting_.ledger().payload_bytes,
                   .population = context_.control == nullptr ? nullptr : context_.control->population()});
  }

  const RankContext& context_;
  Member& member_;
  Strategy& strategy_;
  comm::CountingCommunicator& counting_;
  MetricsWriter metrics_;
  const int64_t total_steps_, steps_per_epoch_;
  LoopState& at_;
  Measurements measurements_;
  int64_t step_ = 0;  // the one that is being taken
  Snapshot before_;
};

int64_t HookedUnits(Member& member) {
  if (!member.model().layers_are_known()) return 0;
  const auto layers = models::HookedLayers(member.model());
  int64_t units = 0;
  for (size_t k = 0; k + 1 < layers.size(); ++k) units += layers[k].weight.size(0);  // the classifier is left out
  return units;
}

}  // namespace

int64_t StepsPerEpoch(const RunConfig& config, const data::Dataset& dataset) {
  return data::Batches(dataset.train.size(), config.train.batch_size, config.seed, 0).batches_per_epoch();
}

int64_t TotalSteps(const RunConfig& config, const data::Dataset& dataset) {
  if (config.train.steps) return *config.train.steps;
  return config.train.epochs.value_or(10) * StepsPerEpoch(config, dataset);
}

RunShape ShapeOf(const RunConfig& config, const data::Dataset& dataset, Member& member) {
  RunShape shape{.seed = config.seed,
                 .members = config.population.members,
                 .total_steps = TotalSteps(config, dataset),
                 .steps_per_epoch = StepsPerEpoch(config, dataset),
                 .base_lr = config.train.optimizer.lr,
                 .slots = member.params().slots(),
                 .num_parameters = member.params().size(),
                 .num_moments = static_cast<int>(member.optimizer().moments().size()),
                 .num_activation_statistics = 2 * HookedUnits(member)};
  for (const torch::Tensor& statistic : member.statistics()) shape.num_statistics += statistic.numel();
  shape.lr_at = [schedule = config.train.schedule, lr = shape.base_lr, total = shape.total_steps](int64_t step) {
    return LearningRate(schedule, lr, step, total);
  };
  return shape;
}

void RankContext::Tell(coordinator::Phase phase, int64_t step, const char* operation) const {
  if (control != nullptr) control->Progress(phase, step, operation);
  if (trace != nullptr) trace->Begin(operation, step);
}

void Train(const RankContext& context, Member& member, Strategy& strategy, comm::CountingCommunicator& counting, LoopState& at,
           const BetweenSteps& between_steps) {
  Loop(context, member, strategy, counting, at).Run(between_steps);
}

}  // namespace basin::trainer
