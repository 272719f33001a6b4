#include "trainer/strategies/delayed.h"

#include "base/error.h"

namespace basin::trainer {

DelayedExchange::DelayedExchange(int64_t delay_steps, double correction, const StepTimes& times, int64_t total_steps, Make make)
    : delay_steps_(delay_steps), total_steps_(total_steps), correction_(correction), times_(times), make_(std::move(make)) {}

void DelayedExchange::AfterStep(int64_t step, std::span<torch::Tensor> flats, comm::CountingCommunicator& comm) {
  for (Flight& flight : flights_) {
    if (!flight.values.sent()) flight.values.SendAgain(comm.uncounted());
  }
  while (!flights_.empty() && flights_.front().step + delay_steps_ <= step) Land(flats, comm);
  if (times_.Acts(step)) {
    const comm::CountingCommunicator::Exchange exchange(comm);
    flights_.push_back({step, make_(step, comm)});
    flights_.back().values.Send(flats, comm);
  }
  const bool last = step + 1 == total_steps_;
  while (last && !flights_.empty()) Land(flats, comm);
}

void DelayedExchange::Land(std::span<torch::Tensor> flats, comm::CountingCommunicator& comm) {
  const comm::CountingCommunicator::Landing landing(comm);
  std::vector<double> corrections(flats.size());
  corrections.front() = correction_;
  std::vector<comm::SparseFlight*> later;
  for (size_t k = 1; k < flights_.size(); ++k) later.push_back(&flights_[k].values);
  flights_.front().values.Land(flats, corrections, later);
  flights_.pop_front();
}

void DelayedExchange::Resume(int64_t steps, const comm::Communicator& comm) {
  flights_.clear();
  if (steps == total_steps_) return;
  for (int64_t step = std::max<int64_t>(0, steps - delay_steps_); step < steps; ++step) {
    if (times_.Acts(step)) flights_.push_back({step, make_(step, comm)});
  }
}

std::vector<std::pair<std::string, torch::Tensor*>> DelayedExchange::Tensors() {
  std::vector<std::pair<std::string, torch::Tensor*>> tensors;
  for (Flight& flight : flights_) {
    tensors.emplace_back(Text("in_flight.", flight.step), &flight.values.own());
    tensors.emplace_back(Text("in_flight.", flight.step, ".base"), &flight.values.base());
  }
  return tensors;
}

}  // namespace basin::trainer
