// Exchanges that are applied some steps after they were sent (delay_steps of wash and sparta): what is in flight, and when it lands.
#pragma once

#include <deque>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "comm/sparse_flight.h"
#include "trainer/strategies/timing.h"
#include "trainer/strategy.h"

namespace basin::trainer {

/// The exchange of step t lands after step t + tau, before the one of that step is sent; after the last step of the run all land that are
/// still in flight. What is sent is so applied, in the order of the steps.
class DelayedExchange {
 public:
  /// The exchange of a step, not sent yet; a pure function of the step and the communicator's rank and size.
  using Make = std::function<comm::SparseFlight(int64_t step, const comm::Communicator& comm)>;
  DelayedExchange(int64_t delay_steps, double correction, const StepTimes& times, int64_t total_steps, Make make);

  /// flats: the weights, which keep what they have learnt in between (SparseFlight::Land), and the moments, which become what arrives: a
  /// corrected second moment could be negative.
  void AfterStep(int64_t step, std::span<torch::Tensor> flats, comm::CountingCommunicator& comm);
  /// Strategy::Resume: the exchanges that were in flight after so many steps, to be sent again at the next AfterStep, uncounted.
  void Resume(int64_t steps, const comm::Communicator& comm);
  /// Strategy::InFlight.
  std::vector<std::pair<std::string, torch::Tensor*>> Tensors();

 private:
  struct Flight {
    int64_t step;
    comm::SparseFlight values;
  };
  void Land(std::span<torch::Tensor> flats, comm::CountingCommunicator& comm);

  int64_t delay_steps_, total_steps_;
  double correction_;
  StepTimes times_;
  Make make_;
  std::deque<Flight> flights_;  // the oldest first
};

}  // namespace basin::trainer
