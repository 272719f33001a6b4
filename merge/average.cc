#include "merge/average.h"

#include "base/average_files.h"
#include "base/error.h"
#include "merge/match.h"
#include "merge/parallel.h"

namespace basin::merge {
namespace {

std::vector<const models::StateDict*> Pointers(std::span<const models::StateDict> states) {
  std::vector<const models::StateDict*> pointers;
  for (const models::StateDict& state : states) pointers.push_back(&state);
  return pointers;
}

torch::Tensor Average(const Versions& versions, const AverageOptions& options) {
  torch::Tensor out = torch::empty_like(versions.tensors[0]);
  base::AverageColumns(versions.columns(), options, static_cast<std::byte*>(out.mutable_data_ptr()), InParallel);
  return out;
}

/// Sum over the trainable tensors of the squared distances from the mean.
double TotalSquaredDeviation(std::span<const models::StateDict* const> states) {
  double sum = 0;
  for (const Versions& versions : MatchStates(states)) {
    if (models::IsBatchNormStatistic(versions.name) || !versions.tensors[0].is_floating_point()) continue;
    sum += base::SquaredDeviation(versions.columns(), InParallel);
  }
  return sum;
}

}  // namespace

torch::Tensor AverageTensors(std::span<const torch::Tensor> tensors, const AverageOptions& options) {
  const torch::NoGradGuard no_grad;
  base::CheckAverageOptions(options, static_cast<int64_t>(tensors.size()));
  std::vector<models::StateDict> states;
  for (const torch::Tensor& tensor : tensors) states.push_back({{"(unnamed)", tensor}});
  return AverageStates(states, options)[0].tensor;
}

models::StateDict AverageStates(std::span<const models::StateDict> states, const AverageOptions& options) {
  const torch::NoGradGuard no_grad;
  base::CheckAverageOptions(options, static_cast<int64_t>(states.size()));
  models::StateDict result;
  for (const Versions& versions : MatchStates(Pointers(states))) {
    const torch::Device device = states[0][result.size()].tensor.device();
    result.push_back({versions.name, Average(versions, options).to(device)});
  }
  return result;
}

void AverageFiles(std::span<const std::filesystem::path> inputs, const std::filesystem::path& output,
                  const AverageOptions& options, const std::map<std::string, std::string>& metadata) {
  base::AverageSafetensors(inputs, output, options, metadata, InParallel);
}

std::vector<double> DistancesSquared(std::span<const std::filesystem::path> networks, const std::filesystem::path& reference) {
  return base::SquaredDistances(networks, reference, [](const std::string& name) { return !models::IsBatchNormStatistic(name); }, InParallel);
}

double ConsensusDistanceSquared(std::span<const models::StateDict> states) {
  BASIN_CHECK(!states.empty(), "the consensus distance of no network");
  return TotalSquaredDeviation(Pointers(states)) / static_cast<double>(states.size());
}

double DistanceSquared(const models::StateDict& a, const models::StateDict& b) {
  // Both lie |a - b| / 2 from their mean: the squares add up to |a - b|^2 / 2.
  const std::vector<const models::StateDict*> both = {&a, &b};
  return 2 * TotalSquaredDeviation(both);
}

}  // namespace basin::merge
