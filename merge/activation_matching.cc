#include "merge/activation_matching.h"

#include "merge/assignment.h"

namespace basin::merge {

torch::Tensor SimilarityOf(const PairStatistics& statistics, const std::string& id, Similarity similarity, double epsilon) {
  const PairStatistics::Moments moments = statistics.MomentsOf(id);  // refuses what is not finite
  if (similarity == Similarity::kSecondMoment) {
    const PairStatistics::Sums sums = statistics.of(id);
    return sums.ab / sums.count;
  }
  const bool full = statistics.within() == PairStatistics::Within::kFull;
  const auto deviation = [&](const torch::Tensor& within) { return (full ? within.diagonal() : within).clamp_min(0).sqrt(); };
  const torch::Tensor scale = torch::outer(deviation(moments.aa), deviation(moments.bb));
  return torch::where(scale > 0, moments.ab / (scale + epsilon), torch::zeros_like(scale));
}

ActivationMatching MatchActivations(const PairStatistics& statistics, Similarity similarity) {
  ActivationMatching matching;
  for (const auto& [id, n] : statistics.sizes()) {
    const torch::Tensor gains = SimilarityOf(statistics, id, similarity).contiguous();
    const auto columns = MaximiseAssignment({gains.const_data_ptr<double>(), static_cast<size_t>(gains.numel())}, n);
    const torch::Tensor pi = torch::tensor(at::ArrayRef<int64_t>(columns));
    matching.similarity[id] = {gains.diagonal().mean().item<double>(), gains.gather(1, pi.unsqueeze(1)).mean().item<double>()};
    matching.permutations[id] = pi;
  }
  return matching;
}

}  // namespace basin::merge
