#include "trainer/strategies/rates.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>
#include <string>

#include "base/error.h"

namespace basin::trainer {
namespace {

std::string ModuleOf(const std::string& name) {
  const size_t dot = name.rfind('.');
  return dot == std::string::npos ? std::string() : name.substr(0, dot);
}

/// Positions on the axis of the unit, first 0; the last one is the length of the axis.
std::vector<double> Positions(std::span<const models::ParameterSlot> slots, DepthUnit unit) {
  std::vector<double> positions;
  std::map<std::string, double> modules;  // in order of appearance by value
  double parameters = 0;
  for (const models::ParameterSlot& slot : slots) {
    switch (unit) {
      case DepthUnit::kTensor:
        positions.push_back(static_cast<double>(positions.size()));
        break;
      case DepthUnit::kModule: {
        const double next = static_cast<double>(modules.size());
        positions.push_back(modules.try_emplace(ModuleOf(slot.name), next).first->second);
        break;
      }
      case DepthUnit::kParameters:
        positions.push_back(parameters);
        break;
    }
    parameters += static_cast<double>(slot.num_elements);
  }
  return positions;
}

/// log of the binomial probability of k out of n, for q in (0, 1).
double LogBinomial(double n, double k, double q) {
  return std::lgamma(n + 1) - std::lgamma(k + 1) - std::lgamma(n - k + 1) + k * std::log(q) +
         (n - k) * std::log1p(-q);
}

double BinomialProbability(int64_t n, int64_t k, double q) {
  if (k > n) return 0;
  if (q <= 0) return k == 0 ? 1 : 0;
  if (q >= 1) return k == n ? 1 : 0;
  return std::exp(LogBinomial(static_cast<double>(n), static_cast<double>(k), q));
}

}  // namespace

std::vector<double> DepthFactors(std::span<const models::ParameterSlot> slots, DepthLaw law,
                                 DepthUnit unit) {
  std::vector<double> factors(slots.size(), 1);
  if (law == DepthLaw::kConstant || slots.empty()) return factors;
  const std::vector<double> positions = Positions(slots, unit);
  // Not back(): a module may own tensors before and after those of another.
  const double last = *std::max_element(positions.begin(), positions.end());
  if (last == 0) return factors;
  for (size_t l = 0; l < slots.size(); ++l) factors[l] = 1 - positions[l] / last;
  return factors;
}

double TimeFactor(RateSchedule schedule, const StepInfo& step, const RunShape& shape) {
  switch (schedule) {
    case RateSchedule::kConstant:
      return 1;
    case RateSchedule::kLr:
      return shape.base_lr == 0 ? 1 : step.lr / shape.base_lr;
    case RateSchedule::kCosine: {
      const double u = static_cast<double>(step.step) / static_cast<double>(shape.total_steps);
      return (1 + std::cos(std::numbers::pi * u)) / 2;
    }
  }
  throw CheckFailed(Text("no such rate schedule: ", static_cast<int>(schedule)));
}

double LrAt(int64_t step, const RunShape& shape) { return shape.lr_at ? shape.lr_at(step) : shape.base_lr; }

std::vector<comm::SelectedTensor> SelectTensors(std::span<const models::ParameterSlot> slots,
                                                std::span<const double> factors, double share) {
  BASIN_CHECK(slots.size() == factors.size(), slots.size(), " tensors, ", factors.size(),
              " factors");
  std::vector<comm::SelectedTensor> tensors;
  for (size_t l = 0; l < slots.size(); ++l) {
    tensors.push_back({.offset = slots[l].offset,
                       .num_elements = slots[l].num_elements,
                       .rate = std::clamp(share * factors[l], 0.0, 1.0)});
  }
  return tensors;
}

SelectionMoments MomentsOf(std::span<const comm::SelectedTensor> tensors) {
  SelectionMoments moments;
  for (const comm::SelectedTensor& tensor : tensors) {
    const double n = static_cast<double>(tensor.num_elements);
    moments.mean += n * tensor.rate;
    moments.variance += n * tensor.rate * (1 - tensor.rate);
  }
  return moments;
}

double ExpectedAtMost(std::span<const comm::SelectedTensor> tensors, int limit) {
  std::vector<double> below(limit, 0);  // below[k]: probability that k are chosen, for k < limit
  if (limit == 0) return 0;
  below[0] = 1;
  for (const comm::SelectedTensor& tensor : tensors) {
    std::vector<double> own(limit), sum(limit, 0);
    for (int k = 0; k < limit; ++k)
      own[k] = BinomialProbability(tensor.num_elements, k, tensor.rate);
    for (int k = 0; k < limit; ++k) {
      for (int j = 0; j <= k; ++j) sum[k] += below[k - j] * own[j];
    }
    below = sum;
  }
  double expected = limit;
  for (int k = 0; k < limit; ++k) expected -= (limit - k) * below[k];
  return expected;
}

}  // namespace basin::trainer
