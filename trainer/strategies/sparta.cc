#include "trainer/strategies/sparta.h"

#include <cmath>

#include "trainer/strategies/dense.h"
#include "trainer/strategies/rates.h"

namespace basin::trainer {

Sparta::Sparta(const SpartaOptions& options, const RunShape& shape)
    : travel_(options.travel),
      shape_(shape),
      times_(options.when, shape),
      tensors_(SelectTensors(
          shape.slots, DepthFactors(shape.slots, options.law, DepthUnit::kTensor), options.p)),
      delayed_(travel_.delay_steps, travel_.correction, times_, shape.total_steps,
               [this](int64_t step, const comm::Communicator& comm) {
                 return comm::SparseFlight::OfAverage(Draw(step), travel_.payload, comm.device());
               }) {}

std::vector<int64_t> Sparta::Draw(int64_t step) const {
  return comm::DrawIndices({.run_seed = shape_.seed, .exchange = static_cast<uint64_t>(step)}, tensors_);
}

void Sparta::AfterStep(const StepInfo& step, MemberState& member,
                       comm::CountingCommunicator& comm) {
  const bool alone = comm.size() == 1;
  if (travel_.delay_steps > 0 && !alone) return delayed_.AfterStep(step.step, {&member.weights, 1}, comm);
  if (!times_.Acts(step.step)) return;
  const comm::CountingCommunicator::Exchange exchange(comm);
  if (alone) return;
  exchange_.Average(Draw(step.step), member.weights, comm, travel_.payload);
}

Forecast Sparta::Predict() const {
  // One chosen coordinate costs what one element of an AllReduceSum does, the first N cost messages too. With a delay it goes from every
  // rank to every other, and the first costs the messages.
  const int members = shape_.members;
  const int64_t value_bytes = comm::BytesOf(travel_.payload);
  const bool delayed = travel_.delay_steps > 0;
  const MeanTraffic element = delayed ? MeanTraffic{.bytes = static_cast<double>((members - 1) * value_bytes), .messages = members - 1.0}
                                      : AllReduceTraffic(1, value_bytes, members);
  const SelectionMoments chosen = MomentsOf(tensors_);
  Forecast forecast = Repeat({.bytes = element.bytes * chosen.mean,
                              .messages = element.messages * ExpectedAtMost(tensors_, delayed ? 1 : members),
                              .calls = {delayed ? ExpectedCall{.kind = ExpectedCall::Kind::kAllToAll, .bytes = element.bytes * chosen.mean}
                                                : ExpectedCall{.kind = ExpectedCall::Kind::kAllReduce,
                                                               .bytes = static_cast<double>(value_bytes) * chosen.mean}},
                              // Values (the buffer grows by half), shards of their sum, coordinates.
                              .memory_bytes = (1.5 * sizeof(float) + sizeof(float) + sizeof(int64_t)) * chosen.mean},
                             times_.Count());
  forecast.drawn_values = chosen.mean;
  forecast.bytes_stddev =
      element.bytes * std::sqrt(chosen.variance * static_cast<double>(forecast.exchanges));
  return forecast;
}

}  // namespace basin::trainer
