#include "trainer/finish.h"

#include <unistd.h>

#include <cmath>
#include <utility>

#include "base/files.h"
#include "base/log.h"
#include "merge/average.h"
#include "merge/soup.h"
#include "report/figures.h"
#include "report/tensorboard.h"
#include "trainer/checkpoint/lost_members.h"
#include "trainer/coordinated_finish.h"
#include "trainer/lmc.h"
#include "trainer/member_scores.h"
#include "trainer/plan/budget.h"
#include "trainer/population.h"
#include "trainer/versions.h"

namespace basin::trainer {
namespace {

base::Json AsJson(const Score& score) {
  return {{"test_accuracy", score.accuracy}, {"test_loss", score.loss}};
}

class Finisher {
 public:
  Finisher(const RankContext& context, Member& member, const comm::Ledger& ledger, const FinishInput& input)
      : context_(context),
        comm_(context.comm),
        member_(member),
        ledger_(ledger),
        input_(input),
        bench_{context.dataset, context.config.evaluate, member.params().values().device(), context.config.seed,
               [this] { WaitLonger(); }},
        scratch_(MakeClassifier(context.config, context.dataset)) {
    scratch_->to(bench_.device);
  }

  base::Json Run() {
    const base::Stopwatch watch(context_.clock);
    WaitLonger();  // peers may still be training
    Tell("finish");
    ids_ = GatherIds(member_, comm_);
    coordinated_ = CoordinatedFinish::Begin(context_, member_);
    networks_ = coordinated_ ? coordinated_->FetchNetworks() : GatherPopulation(member_, comm_);
    if (context_.config.coordinator.finish_with_lost) {
      lost_ = LoadLostMembers(context_, input_.run_dir, input_.lost);
    }
    Tell("score members");
    ScorePopulation();
    Tell("score the average");
    OnRankZero([&] {
      WriteMembers();
      ScoreAverage();
      ScoreSoup();
    });
    Tell("connectivity");
    MeasureConnectivity();
    const double evaluate = input_.times.evaluate + watch.Seconds();
    AddDistance();
    AddLedger(evaluate);
    if (comm_.rank() == 0) AddPlan();
    if (context_.trace != nullptr) context_.trace->Write(input_.run_dir / "trace.json", member_.id(), comm_);
    if (comm_.rank() != 0) return nullptr;
    if (!input_.lost.empty()) AddLost();
    base::WriteJson(input_.run_dir / "result.json", result_);
    if (context_.config.report.tensorboard) ShowInTensorBoard();
    return result_;
  }

 private:
  void Tell(const char* operation) {
    context_.Tell(coordinator::Phase::kFinish, input_.steps, operation);
    if (context_.faults != nullptr) context_.faults->Strike(operation, input_.steps);
  }

  /// A healthy peer may be late here by as much as this rank has worked so far, since all do like work.
  void WaitLonger() {
    if (comm_.rank() == 0 && input_.interrupted != nullptr && *input_.interrupted && !std::exchange(has_told_, true)) {
      base::LogWarning("a signal came while the trained members are measured: that goes on to its end (result.json); a second signal ends "
                       "it at once, without a result");
    }
    const double worked = context_.clock.Seconds() - input_.started;
    comm_.SetTimeout(context_.config.comm.timeout + std::chrono::milliseconds(static_cast<int64_t>(3000 * worked)));
  }

  /// The others wait for rank 0, but for one batch at a time: nobody knows how long all of it takes. With a coordinator they go on to
  /// what it shares out.
  template <typename Work>
  void OnRankZero(Work&& work) {
    if (coordinated_) {
      if (comm_.rank() == 0) work();
      return;
    }
    if (comm_.rank() != 0) {
      while (GoesOn(true)) continue;
      return;
    }
    bench_.after_batch = [this] { GoesOn(true); };
    work();
    bench_.after_batch = [this] { WaitLonger(); };
    GoesOn(false);
  }

  /// What rank 0 says of its work, on every rank.
  bool GoesOn(bool more) {
    WaitLonger();
    torch::Tensor flag = torch::tensor({int64_t{more}}).to(comm_.device());
    comm_.Broadcast(flag, /*root=*/0);
    return flag.item<int64_t>() != 0;
  }

  void ScorePopulation() {
    MemberScores scores = ScoreMembers(member_, ids_, lost_, bench_, *scratch_, comm_);
    result_ = {{"format", 1},
               {"config_hash", ConfigHash(context_.config)},
               {"name", context_.config.name},
               {"seed", context_.config.seed},
               {"members", context_.config.population.members},
               {"strategy", StrategyName(context_.config.strategy)},
               {"model", context_.config.model.name},
               {"data",
                {{"name", context_.config.data.name},
                 {"train", context_.dataset.train.size()},
                 {"test", context_.dataset.test.size()}}},
               {"backend", comm_.name()},
               {"versions", AsJson(ReadVersions())},
               {"steps", input_.steps},
               {"member", std::move(scores.members)},
               {"mean_member", AsJson(scores.mean)},
               {"ensemble", AsJson(scores.ensemble)},
               {"disagreement", scores.disagreement}};
    for (LostNetwork& lost : lost_) {
      ids_.push_back(lost.id);
      networks_.push_back(std::move(lost.network));
    }
  }

  void WriteMembers() {
    if (coordinated_ && coordinated_->publishes()) return;
    std::filesystem::create_directories(input_.run_dir / "members");
    for (size_t m = 0; m < networks_.size(); ++m) SaveMember(input_.run_dir / MemberFile(ids_[m]), networks_[m], ids_[m]);
  }

  models::StateDict Average() {
    const char* name = "average_raw.safetensors";
    if (coordinated_) return coordinated_->Average(input_.run_dir, name);
    models::StateDict average = merge::AverageStates(networks_);
    models::SaveState(input_.run_dir / name, average);
    return average;
  }

  /// With and without recomputed batch-norm statistics: without, a good average looks like a failure.
  void ScoreAverage() {
    models::LoadState(*scratch_, Average());
    const Score as_is = Evaluate(*scratch_, bench_, context_.dataset.test);
    Recalibrate(*scratch_, bench_);
    const Score recalibrated = Evaluate(*scratch_, bench_, context_.dataset.test);
    models::SaveState(input_.run_dir / "average.safetensors", models::CloneState(models::StateOf(*scratch_)));
    result_["average"] = AsJson(recalibrated);
    result_["average"]["recalibrated"] = models::HasBatchNorm(*scratch_);
    result_["average_raw"] = AsJson(as_is);
  }

  void ScoreSoup() {
    const data::Split& validation = context_.dataset.validation;
    if (validation.size() == 0) {
      result_["soup"] = nullptr;  // nothing to choose by
      return;
    }
    const merge::Soup soup = merge::GreedySoup(networks_, [&](models::StateDict& state) {
      models::LoadState(*scratch_, state);
      Recalibrate(*scratch_, bench_);
      state = models::CloneState(models::StateOf(*scratch_));
      return Evaluate(*scratch_, bench_, validation).accuracy;
    });
    models::SaveState(input_.run_dir / "soup.safetensors", soup.state);
    models::LoadState(*scratch_, soup.state);
    result_["soup"] = AsJson(Evaluate(*scratch_, bench_, context_.dataset.test));
    result_["soup"]["validation_accuracy"] = soup.score;
    base::Json chosen = base::Json::array();
    for (const auto index : soup.chosen) chosen.push_back(ids_[index]);
    result_["soup"]["chosen"] = std::move(chosen);
  }

  void MeasureConnectivity() {
    const auto pairs = ChoosePairs(context_.config.lmc.pairs, std::ssize(networks_));
    const TaskShare share = coordinated_ ? coordinated_->Share() : ByRank(comm_);
    auto curves = MeasurePairs(networks_, pairs, context_.config.lmc, bench_, *scratch_, share);
    for (PairCurve& curve : curves) {
      curve.a = ids_[curve.a];
      curve.b = ids_[curve.b];
    }
    result_["lmc"] = BarriersAsJson(curves);
    if (comm_.rank() == 0) base::WriteFileAtomically(input_.run_dir / "lmc.csv", CurvesAsCsv(curves));
  }

  void AddDistance() {
    if (comm_.rank() != 0) return;
    const models::StateDict mean = merge::AverageStates(networks_);
    models::StateDict zero = models::CloneState(mean);
    for (auto& [name, tensor] : zero) tensor.zero_();
    const double consensus = merge::ConsensusDistanceSquared(networks_);
    const double norm = merge::DistanceSquared(mean, zero);
    result_["distance"] = {{"consensus_squared", consensus},
                           {"relative_spread", norm == 0 ? 0.0 : std::sqrt(consensus / norm)}};
  }

  /// The population's curves end in what they were worth.
  void ShowInTensorBoard() const {
    const double now = base::UnixSeconds();
    report::EventWriter events(input_.run_dir / report::EventFileName(now, "basin.result", getpid()), now);
    const report::RunFigures figures = report::FiguresOf(result_);
    for (const report::FigureColumn& column : report::FigureColumns()) {
      const auto& value = figures.*column.field;
      if (value) events.Scalar(std::string("result/") + column.key, input_.steps, now, static_cast<float>(*value));
    }
  }

  void AddLedger(double evaluate) {
    WaitLonger();
    const torch::Tensor rows =
        GatherDoubles({static_cast<double>(ledger_.payload_bytes), static_cast<double>(ledger_.messages),
                       input_.times.train, ledger_.seconds, evaluate}, comm_);
    const torch::Tensor mean = rows.mean(0);
    const auto at = [&](int64_t k) { return mean[k].item<double>(); };
    base::Json per_rank = base::Json::array();
    for (int64_t r = 0; r < rows.size(0); ++r) per_rank.push_back(static_cast<int64_t>(rows[r][0].item<double>()));
    result_["bytes"] = {{"payload_per_rank", Whole(at(0))},
                        {"predicted_per_rank", Known(input_.forecast.bytes_per_rank)},
                        {"predicted_stddev", Known(input_.forecast.bytes_stddev)},
                        {"messages_per_rank", Whole(at(1))},
                        {"predicted_messages_per_rank", Known(input_.forecast.messages_per_rank)},
                        {"exchanges", ledger_.exchanges},
                        {"payload_of_rank", per_rank}};
    result_["seconds"] = {{"train", at(2)},
                          {"exchange", at(3)},
                          {"evaluate", at(4)},
                          {"total", context_.clock.Seconds() - input_.started}};
  }

  void AddPlan() {
    if (!input_.plan.is_null()) result_["plan"] = input_.plan;
    if (input_.fitted) result_["budget"] = BudgetReport(context_.config.strategy, *input_.fitted, result_);
  }

  base::Json Known(double predicted) const { return input_.forecast.is_known ? base::Json(predicted) : base::Json(); }

  /// What was foretold for the whole population does not hold for what is left of it.
  void AddLost() {
    result_["lost"] = input_.lost;
    for (const char* key : {"predicted_per_rank", "predicted_stddev", "predicted_messages_per_rank"}) result_["bytes"][key] = nullptr;
    result_["plan"] = nullptr;
  }

  /// Means over ranks are whole numbers but for ragged shards.
  static base::Json Whole(double value) {
    return value == std::floor(value) ? base::Json(static_cast<int64_t>(value)) : base::Json(value);
  }

  const RankContext& context_;
  comm::Communicator& comm_;
  Member& member_;
  const comm::Ledger& ledger_;
  const FinishInput& input_;
  Bench bench_;  // renews the deadline after every batch
  std::shared_ptr<models::Classifier> scratch_;
  std::unique_ptr<CoordinatedFinish> coordinated_;  // null: the ranks do it among themselves
  std::vector<LostNetwork> lost_;  // that left a checkpoint
  std::vector<int64_t> ids_;
  std::vector<models::StateDict> networks_;  // ids_ and these: one a rank, then the lost ones
  base::Json result_;
  bool has_told_ = false;  // that a signal does not end the measurements
};

}  // namespace

base::Json Finish(const RankContext& context, Member& member, const comm::Ledger& ledger, const FinishInput& input) {
  return Finisher(context, member, ledger, input).Run();
}

}  // namespace basin::trainer
