#include "trainer/strategies/wash.h"

#include <cmath>
#include <span>

#include "trainer/strategies/rates.h"

namespace basin::trainer {
namespace {

/// One exchange of one vector: means over the ranks.
struct ShuffleTraffic {
  double values = 0, variance = 0;  ///< values sent
  double messages = 0;
};

ShuffleTraffic ExpectShuffle(std::span<const comm::SelectedTensor> tensors, int members) {
  // Of the N members a uniform permutation leaves 1 in place on average, with variance 1 (N >= 2).
  // A coordinate that is chosen with probability q so moves X values: E[X] = q (N - 1), E[X^2] = q
  // (1 + (N - 1)^2).
  const double peers = members - 1, ranks = members;
  ShuffleTraffic traffic;
  double log_nothing =
      0;  // of the probability that no value goes from one given rank to one given peer
  for (const comm::SelectedTensor& tensor : tensors) {
    const double n = static_cast<double>(tensor.num_elements), q = tensor.rate;
    traffic.values += n * q * peers / ranks;
    traffic.variance += n * (q * (1 + peers * peers) - q * q * peers * peers) / (ranks * ranks);
    log_nothing += n * std::log1p(-q / ranks);
  }
  traffic.messages = peers * -std::expm1(log_nothing);
  return traffic;
}

}  // namespace

Wash::Wash(const WashOptions& options, const RunShape& shape)
    : options_(options),
      shape_(shape),
      times_(options.when, shape),
      factors_(DepthFactors(shape.slots, options.law, options.depth)),
      delayed_(options.travel.delay_steps, options.travel.correction, times_, shape.total_steps,
               [this](int64_t step, const comm::Communicator& comm) { return MakeFlight(step, comm); }) {}

std::vector<comm::SelectedTensor> Wash::TensorsAt(double time_factor) const {
  auto tensors = SelectTensors(shape_.slots, factors_, options_.p * time_factor);
  for (comm::SelectedTensor& tensor : tensors)
    tensor.rate = comm::SelectionRate(tensor.rate, shape_.members);
  return tensors;
}

std::vector<comm::SelectedTensor> Wash::TensorsAt(const StepInfo& step) const {
  return TensorsAt(TimeFactor(options_.schedule, step, shape_));
}

comm::SparseFlight Wash::MakeFlight(int64_t step, const comm::Communicator& comm) const {
  const auto tensors = TensorsAt({.step = step, .lr = LrAt(step, shape_)});
  auto plan = comm::DrawShufflePlan(KeyOf(step), tensors, comm.size(), comm.rank());
  return comm::SparseFlight::OfShuffle(std::move(plan), num_flats(), options_.travel.payload, comm.device());
}

void Wash::AfterStep(const StepInfo& step, MemberState& member, comm::CountingCommunicator& comm) {
  const bool alone = comm.size() == 1;
  std::vector<torch::Tensor> flats{member.weights};
  if (options_.optimizer_state)
    flats.insert(flats.end(), member.moments.begin(), member.moments.end());
  if (options_.travel.delay_steps > 0 && !alone) return delayed_.AfterStep(step.step, flats, comm);
  if (!times_.Acts(step.step)) return;
  const comm::CountingCommunicator::Exchange exchange(comm);
  if (alone) return;
  exchange_.Shuffle(KeyOf(step.step), TensorsAt(step), flats, comm, options_.travel.payload);
}

Forecast Wash::Predict() const {
  const auto bytes_a_place = static_cast<double>(num_flats() * comm::BytesOf(options_.travel.payload));
  Forecast forecast{.exchanges = times_.Count()};
  if (shape_.members == 1) return forecast;
  double variance = 0;
  const auto add = [&](double exchanges, double factor) {
    const ShuffleTraffic one = ExpectShuffle(TensorsAt(factor), shape_.members);
    forecast.bytes_per_rank += exchanges * one.values * bytes_a_place;
    forecast.messages_per_rank += exchanges * one.messages;
    variance += exchanges * one.variance * bytes_a_place * bytes_a_place;
  };
  if (options_.schedule == RateSchedule::kConstant) {
    add(static_cast<double>(forecast.exchanges), 1);
  } else {
    for (int64_t step = times_.begin(); step < times_.end(); ++step) {
      if (!times_.Acts(step)) continue;
      add(1, TimeFactor(options_.schedule, {.step = step, .lr = LrAt(step, shape_)}, shape_));
    }
  }
  forecast.bytes_stddev = std::sqrt(variance);
  if (forecast.exchanges > 0) {
    const double sent = forecast.bytes_per_rank / static_cast<double>(forecast.exchanges);
    forecast.calls = {{.kind = ExpectedCall::Kind::kAllToAll, .bytes = sent}};
    forecast.drawn_values = sent / bytes_a_place * static_cast<double>(num_flats());
    // Two buffers that grow by half, and the coordinates of what is sent and received.
    forecast.memory_bytes = 3 * sent + 2 * sizeof(int64_t) * sent / bytes_a_place;
  }
  return forecast;
}

}  // namespace basin::trainer
