#include "merge/taylor.h"

#include <torch/csrc/autograd/autograd.h>

#include "base/error.h"

namespace basin::merge {
namespace {

/// theta_b - theta_a for each parameter of the model, in its order.
std::vector<torch::Tensor> Direction(const models::Classifier& model, const models::StateDict& a, const models::StateDict& b) {
  std::vector<torch::Tensor> direction;
  for (const auto& item : model.named_parameters()) {
    const torch::Tensor *from = models::FindTensor(a, item.key()), *to = models::FindTensor(b, item.key());
    if (from == nullptr || to == nullptr || from->sizes() != to->sizes()) {
      throw DataError(Text("the two networks do not both have a tensor ", item.key(), " of one shape"));
    }
    direction.push_back((to->to(torch::kFloat64) - from->to(torch::kFloat64)).to(item.value().options().requires_grad(false)));
  }
  return direction;
}

torch::Tensor Dot(const std::vector<torch::Tensor>& x, const std::vector<torch::Tensor>& y) {
  torch::Tensor sum = torch::zeros({}, torch::kFloat64);
  for (size_t i = 0; i < x.size(); ++i) {
    if (x[i].defined()) sum = sum + (x[i] * y[i]).sum(torch::kFloat64);
  }
  return sum;
}

}  // namespace

LineEnd MeasureLineEnd(models::Classifier& model, const models::StateDict& at, const models::StateDict& a, const models::StateDict& b,
                       const LabelledBatches& batches, const LossOfLogits& loss) {
  const torch::AutoGradMode with_gradients(true);
  models::LoadState(model, at);
  model.eval();
  const std::vector<torch::Tensor> direction = Direction(model, a, b), parameters = model.parameters();
  LineEnd end;
  double images_seen = 0;
  batches([&](const torch::Tensor& images, const torch::Tensor& labels) {
    const auto weight = static_cast<double>(images.size(0));
    const torch::Tensor value = loss(model.forward(images), labels);
    const auto gradient = torch::autograd::grad({value}, parameters, /*grad_outputs=*/{}, /*retain_graph=*/true, /*create_graph=*/true,
                                                /*allow_unused=*/true);
    const torch::Tensor slope = Dot(gradient, direction);
    end.loss += weight * value.item<double>();
    end.slope += weight * slope.item<double>();
    images_seen += weight;
    if (!slope.requires_grad()) return;  // a loss that is linear in the weights
    const auto product = torch::autograd::grad({slope}, parameters, {}, /*retain_graph=*/false, /*create_graph=*/false, /*allow_unused=*/true);
    end.curvature += weight * Dot(product, direction).item<double>();
  });
  BASIN_CHECK(images_seen > 0, "no batch to take a derivative on");
  return {end.loss / images_seen, end.slope / images_seen, end.curvature / images_seen};
}

double TaylorBarrier(const LineEnd& a, const LineEnd& b, double lambda) {
  return lambda * (1 - lambda) * (a.slope - b.slope + (lambda * a.curvature + (1 - lambda) * b.curvature) / 2);
}

}  // namespace basin::merge
