#include "merge/midpoint.h"

#include "base/error.h"
#include "models/state_dict.h"

namespace basin::merge {

MidpointLoss LossAtMidpoint(models::Classifier& scratch, const models::StateDict& a, const models::StateDict& b, const LabelledBatch& batch) {
  scratch.train();
  scratch.zero_grad();
  const auto parameters = scratch.named_parameters();
  {
    const torch::NoGradGuard no_grad;
    for (const auto& item : parameters) {
      const torch::Tensor* left = models::FindTensor(a, item.key());
      const torch::Tensor* right = models::FindTensor(b, item.key());
      BASIN_CHECK(left != nullptr && right != nullptr, "tensor ", item.key(), " is not in both networks");
      torch::Tensor to = item.value();
      to.copy_((*left + *right) / 2);
    }
  }
  const torch::AutoGradMode with_gradients(true);
  const torch::Tensor loss = torch::cross_entropy_loss(scratch.forward(batch.images), batch.labels);
  loss.backward();
  MidpointLoss result{loss.item<double>(), {}};
  for (const auto& item : parameters) {
    if (item.value().grad().defined()) result.gradient[item.key()] = item.value().grad().detach().clone();
  }
  return result;
}

}  // namespace basin::merge
