#include "trainer/strategies/diloco.h"

#include "base/error.h"

namespace basin::trainer {

Diloco::Diloco(const DilocoOptions& options, const RunShape& shape)
    : options_(options), shape_(shape), times_(options.when, shape, Beat::kLast) {}

void Diloco::Begin(MemberState& member, comm::Communicator& comm) {
  torch::NoGradGuard no_grad;
  outer_ = DenseMean(Carry::kWeights).Take(member, comm);
  momentum_ = torch::zeros_like(outer_);
}

void Diloco::AfterStep(const StepInfo& step, MemberState& member,
                       comm::CountingCommunicator& comm) {
  if (!times_.Acts(step.step)) return;
  const comm::CountingCommunicator::Exchange exchange(comm);
  if (comm.size() == 1) return;
  BASIN_CHECK(outer_.defined(), "diloco exchanges before Begin");
  torch::Tensor& mean = mean_.Take(member, comm);
  OuterStep(mean.narrow(0, 0, outer_.numel()));
  // The outer weights take the place of their mean: what remains is the whole state of every
  // member.
  mean.narrow(0, 0, outer_.numel()).copy_(outer_);
  Unpack(mean, Carry::kState, member);
}

void Diloco::OuterStep(torch::Tensor mean) {
  torch::NoGradGuard no_grad;
  torch::Tensor delta = mean.neg_().add_(outer_);
  momentum_.mul_(options_.outer_momentum).add_(delta);
  // Nesterov as in torch.optim.SGD: the step looks ahead by one more application of the momentum.
  const torch::Tensor step =
      options_.nesterov ? delta.add_(momentum_, options_.outer_momentum) : momentum_;
  outer_.sub_(step, options_.outer_lr);
}

Forecast Diloco::Predict() const {
  Forecast forecast = Repeat(AllReduceTraffic(NumCarried(shape_, Carry::kState), sizeof(float), shape_.members), times_.Count());
  forecast.memory_bytes += static_cast<double>(2 * shape_.num_parameters) * sizeof(float);  // outer weights and momentum
  return forecast;
}

std::vector<std::pair<std::string, torch::Tensor*>> Diloco::State() {
  return {{"outer_weights", &outer_}, {"outer_momentum", &momentum_}};
}

}  // namespace basin::trainer
