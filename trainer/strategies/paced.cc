#include "trainer/strategies/paced.h"

#include "trainer/strategies/timing.h"

namespace basin::trainer {

Paced::Paced(std::unique_ptr<Strategy> inner, const Budget& budget, const StepWindow& window, const RunShape& shape)
    : inner_(std::move(inner)),
      begin_(StepTimes(window, shape).begin()),
      end_(StepTimes(window, shape).end()),
      pacer_(budget, begin_, end_, shape.total_steps) {}

void Paced::AfterStep(const StepInfo& step, MemberState& member, comm::CountingCommunicator& comm) {
  if (step.step < begin_ || step.step >= end_) return;
  if (pacer_.wants_to_know()) Agree(step, step.step, comm);
  if (!pacer_.Acts(step.step)) return;
  inner_->AfterStep(step, member, comm);
  if (pacer_.wants_to_know()) Agree(step, step.step + 1, comm);
}

void Paced::Agree(const StepInfo& step, int64_t next_step, comm::CountingCommunicator& comm) {
  const double before = comm.ledger().seconds;
  {
    const comm::CountingCommunicator::Landing timed(comm);
    torch::Tensor sums = torch::tensor({before, step.train_seconds, agreement_seconds_}, torch::kFloat64).to(comm.device());
    comm.AllReduceSum(sums);
    const torch::Tensor means = sums.cpu() / comm.size();
    pacer_.Learn({.exchange_seconds = means[0].item<double>(),
                  .agreement_seconds = means[2].item<double>(),
                  .agreements = agreements_,
                  .train_seconds = means[1].item<double>(),
                  .exchanges = comm.ledger().exchanges,
                  .steps = step.step + 1},
                 next_step);
  }
  agreement_seconds_ += comm.ledger().seconds - before;
  ++agreements_;
}

Forecast Paced::Predict() const {
  Forecast forecast = inner_->Predict();
  forecast.is_known = false;
  return forecast;
}

}  // namespace basin::trainer
