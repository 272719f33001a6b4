#include "trainer/member_scores.h"

#include "trainer/population.h"

namespace basin::trainer {
namespace {

base::Json Row(int64_t id, const Score& score, uint64_t weights_hash) {
  return {{"id", id},
          {"test_loss", score.loss},
          {"test_accuracy", score.accuracy},
          {"weights_hash", base::HexHash(weights_hash)}};
}

/// guesses: int64 [N, n].
double Disagreement(const torch::Tensor& guesses) {
  const int64_t n = guesses.size(0);
  double sum = 0;
  for (int64_t a = 0; a < n; ++a) {
    for (int64_t b = a + 1; b < n; ++b) sum += guesses[a].ne(guesses[b]).to(torch::kFloat64).mean().item<double>();
  }
  return n < 2 ? 0 : sum / (static_cast<double>(n) * static_cast<double>(n - 1) / 2);
}

/// Sums over members that grow one by one.
struct Totals {
  torch::Tensor logits;                // [n, classes]
  std::vector<torch::Tensor> guesses;  // [members, n] when stacked
  double loss = 0, accuracy = 0;

  void Add(const Score& score) {
    loss += score.loss;
    accuracy += score.accuracy;
  }
};

}  // namespace

MemberScores ScoreMembers(Member& member, std::span<const int64_t> ids, std::span<const LostNetwork> lost, const Bench& bench,
                          models::Classifier& scratch, comm::Communicator& comm) {
  const data::Split& test = bench.dataset.test;
  const torch::Tensor own_logits = Logits(member.model(), bench, test);
  const Score own = ScoreLogits(own_logits, test.labels);
  const torch::Tensor scores = GatherDoubles({own.loss, own.accuracy}, comm);
  const torch::Tensor hash = torch::tensor({static_cast<int64_t>(member.params().values_hash())});
  const torch::Tensor hashes = comm.AllGather(hash.to(comm.device())).to(torch::kCPU);
  const torch::Tensor guesses = comm.AllGather(own_logits.argmax(1).to(comm.device())).to(torch::kCPU);

  MemberScores result;
  Totals totals{.logits = SumOverRanks(own_logits, comm)};
  for (int64_t rank = 0; rank < comm.size(); ++rank) {
    const Score score{scores[rank][0].item<double>(), scores[rank][1].item<double>()};
    result.members.push_back(Row(ids[rank], score, static_cast<uint64_t>(hashes[rank][0].item<int64_t>())));
    totals.Add(score);
    totals.guesses.push_back(guesses[rank]);
  }
  for (const LostNetwork& one : lost) {
    models::LoadState(scratch, one.network);
    const torch::Tensor logits = Logits(scratch, bench, test);
    const Score score = ScoreLogits(logits, test.labels);
    result.members.push_back(Row(one.id, score, one.weights_hash));
    if (one.checkpoint_step) result.members.back()["checkpoint_step"] = *one.checkpoint_step;
    totals.Add(score);
    totals.guesses.push_back(logits.argmax(1).to(torch::kCPU));
    totals.logits += logits;
  }
  const auto count = static_cast<double>(result.members.size());
  result.mean = {totals.loss / count, totals.accuracy / count};
  result.ensemble = ScoreLogits(totals.logits / count, test.labels);
  result.disagreement = Disagreement(torch::stack(totals.guesses));
  return result;
}

}  // namespace basin::trainer
