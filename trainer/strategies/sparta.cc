#include "trainer/strategies/sparta.h"

#include <cmath>

#include "trainer/strategies/dense.h"
#include "trainer/strategies/rates.h"

namespace basin::trainer {

Sparta::Sparta(const SpartaOptions& options, const RunShape& shape)
    : shape_(shape),
      times_(options.when, shape),
      tensors_(SelectTensors(
          shape.slots, DepthFactors(shape.slots, options.law, DepthUnit::kTensor), options.p)) {}

void Sparta::AfterStep(const StepInfo& step, MemberState& member,
                       comm::CountingCommunicator& comm) {
  if (!times_.Acts(step.step)) return;
  const comm::CountingCommunicator::Exchange exchange(comm);
  if (comm.size() == 1) return;
  const comm::DrawKey key{.run_seed = shape_.seed, .exchange = static_cast<uint64_t>(step.step)};
  exchange_.Average(comm::DrawIndices(key, tensors_), member.weights, comm);
}

Forecast Sparta::Predict() const {
  // One chosen coordinate costs what one element of an AllReduceSum does; the first N cost messages
  // too.
  const int members = shape_.members;
  const MeanTraffic element = AllReduceTraffic(1, sizeof(float), members);
  const SelectionMoments chosen = MomentsOf(tensors_);
  Forecast forecast = Repeat({.bytes = element.bytes * chosen.mean,
                              .messages = element.messages * ExpectedAtMost(tensors_, members)},
                             times_.Count());
  forecast.bytes_stddev =
      element.bytes * std::sqrt(chosen.variance * static_cast<double>(forecast.exchanges));
  return forecast;
}

}  // namespace basin::trainer
