#include "trainer/finish.h"

#include <cmath>

#include "base/files.h"
#include "base/log.h"
#include "merge/average.h"
#include "merge/soup.h"
#include "trainer/lmc.h"
#include "trainer/population.h"

namespace basin::trainer {
namespace {

base::Json AsJson(const Score& score) {
  return {{"test_accuracy", score.accuracy}, {"test_loss", score.loss}};
}

std::string MemberFile(int64_t id) {
  std::string digits = std::to_string(id);
  return "members/" + std::string(3 - std::min<size_t>(3, digits.size()), '0') + digits + ".safetensors";
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
    if (context_.control != nullptr) context_.control->Progress(coordinator::Phase::kFinish, input_.steps, "finish");
    if (context_.faults != nullptr) context_.faults->Strike("finish", input_.steps);
    ids_ = GatherIds();
    networks_ = GatherPopulation(member_, comm_);
    ScoreMembers();
    OnRankZero([&] {
      WriteMembers();
      ScoreAverage();
      ScoreSoup();
    });
    MeasureConnectivity();
    const double evaluate = input_.times.evaluate + watch.Seconds();
    AddDistance();
    AddLedger(evaluate);
    if (comm_.rank() != 0) return nullptr;
    if (!input_.lost.empty()) AddLost();
    base::WriteJson(input_.run_dir / "result.json", result_);
    return result_;
  }

 private:
  /// Member of each rank: 0, 1, ... unless some were lost.
  std::vector<int64_t> GatherIds() {
    const torch::Tensor own = torch::tensor({member_.id()}).to(comm_.device());
    const torch::Tensor ids = comm_.AllGather(own).view({-1}).to(torch::kCPU);
    return {ids.const_data_ptr<int64_t>(), ids.const_data_ptr<int64_t>() + ids.numel()};
  }

  /// A healthy peer may be late here by as much as this rank has worked so far, since all do like work.
  void WaitLonger() {
    const double worked = context_.clock.Seconds() - input_.started;
    comm_.SetTimeout(context_.config.comm.timeout + std::chrono::milliseconds(static_cast<int64_t>(3000 * worked)));
  }

  /// The others wait for rank 0, but for one batch at a time: nobody knows how long all of it takes.
  template <typename Work>
  void OnRankZero(Work&& work) {
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

  void ScoreMembers() {
    const torch::Tensor labels = context_.dataset.test.labels;
    const torch::Tensor logits = Logits(member_.model(), bench_, context_.dataset.test);
    const Score own = ScoreLogits(logits, labels);
    const torch::Tensor scores = GatherDoubles({own.loss, own.accuracy}, comm_);
    const torch::Tensor hash = torch::tensor({static_cast<int64_t>(member_.params().values_hash())});
    const torch::Tensor hashes = comm_.AllGather(hash.to(comm_.device())).to(torch::kCPU);
    // The ensemble is the mean of the members' logits.
    const Score ensemble = ScoreLogits(SumOverRanks(logits, comm_) / comm_.size(), labels);
    const torch::Tensor guesses = comm_.AllGather(logits.argmax(1).to(comm_.device())).to(torch::kCPU);

    result_ = {{"format", 1},
               {"config_hash", ConfigHash(context_.config)},
               {"seed", context_.config.seed},
               {"members", context_.config.population.members},
               {"strategy", StrategyName(context_.config.strategy)},
               {"backend", comm_.name()},
               {"steps", input_.steps}};
    base::Json members = base::Json::array();
    for (int64_t m = 0; m < comm_.size(); ++m) {
      members.push_back({{"id", ids_[m]},
                         {"test_loss", scores[m][0].item<double>()},
                         {"test_accuracy", scores[m][1].item<double>()},
                         {"weights_hash", base::HexHash(static_cast<uint64_t>(hashes[m][0].item<int64_t>()))}});
    }
    result_["member"] = std::move(members);
    const torch::Tensor mean = scores.mean(0);
    result_["mean_member"] = AsJson({mean[0].item<double>(), mean[1].item<double>()});
    result_["ensemble"] = AsJson(ensemble);
    result_["disagreement"] = Disagreement(guesses);
  }

  /// Mean over pairs of members of the share of test images on which their predictions differ. guesses: int64 [N, n].
  static double Disagreement(const torch::Tensor& guesses) {
    const int64_t n = guesses.size(0);
    double sum = 0;
    for (int64_t a = 0; a < n; ++a) {
      for (int64_t b = a + 1; b < n; ++b) sum += guesses[a].ne(guesses[b]).to(torch::kFloat64).mean().item<double>();
    }
    return n < 2 ? 0 : sum / (static_cast<double>(n) * static_cast<double>(n - 1) / 2);
  }

  void WriteMembers() {
    for (size_t m = 0; m < networks_.size(); ++m) {
      std::filesystem::create_directories(input_.run_dir / "members");
      models::SaveState(input_.run_dir / MemberFile(ids_[m]), networks_[m],
                        {{"basin.member", std::to_string(ids_[m])}});
    }
  }

  /// With and without recomputed batch-norm statistics: without, a good average looks like a failure.
  void ScoreAverage() {
    const models::StateDict raw = merge::AverageStates(networks_);
    models::SaveState(input_.run_dir / "average_raw.safetensors", raw);
    models::LoadState(*scratch_, raw);
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
    const auto pairs = ChoosePairs(context_.config.lmc.pairs, comm_.size());
    auto curves = MeasurePairs(networks_, pairs, context_.config.lmc, bench_, *scratch_, comm_);
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
                        {"predicted_per_rank", input_.forecast.bytes_per_rank},
                        {"predicted_stddev", input_.forecast.bytes_stddev},
                        {"messages_per_rank", Whole(at(1))},
                        {"predicted_messages_per_rank", input_.forecast.messages_per_rank},
                        {"exchanges", ledger_.exchanges},
                        {"payload_of_rank", per_rank}};
    result_["seconds"] = {{"train", at(2)},
                          {"exchange", at(3)},
                          {"evaluate", at(4)},
                          {"total", context_.clock.Seconds() - input_.started}};
  }

  /// What was foretold for the whole population does not hold for what is left of it.
  void AddLost() {
    result_["lost"] = input_.lost;
    for (const char* key : {"predicted_per_rank", "predicted_stddev", "predicted_messages_per_rank"}) result_["bytes"][key] = nullptr;
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
  std::vector<int64_t> ids_;
  std::vector<models::StateDict> networks_;  // ids_ and these: one a rank
  base::Json result_;
};

}  // namespace

base::Json Finish(const RankContext& context, Member& member, const comm::Ledger& ledger, const FinishInput& input) {
  return Finisher(context, member, ledger, input).Run();
}

}  // namespace basin::trainer
