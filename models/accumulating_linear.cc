#include "models/accumulating_linear.h"

#include <ATen/autocast_mode.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/csrc/autograd/graph_task.h>
#include <torch/csrc/autograd/variable.h>
#include <torch/nn/functional/linear.h>

#include "models/linear_product.h"

namespace basin::models {
namespace {

namespace autograd = torch::autograd;

bool HasHooks(const torch::Tensor& weight) {
  return !autograd::impl::hooks(weight).empty() || autograd::impl::post_acc_grad_hooks(weight) != nullptr;
}

/// Whether this backward would do nothing with the weight's gradient but add it to a defined .grad.
bool OnlyAccumulates(const torch::Tensor& weight) {
  if (torch::GradMode::is_enabled()) return false;  // create_graph: the gradient must stay differentiable
  const auto* wanted = autograd::get_current_graph_task_exec_info();
  if (wanted != nullptr && !wanted->empty()) return false;  // autograd::grad: the gradient goes to the caller
  const torch::Tensor& grad = weight.grad();
  return weight.is_leaf() && grad.defined() && grad.is_contiguous() && !HasHooks(weight);
}

/// a b, in a way that can be differentiated again where that is wanted (create_graph).
torch::Tensor Product(const torch::Tensor& a, const torch::Tensor& b) {
  return torch::GradMode::is_enabled() ? a.mm(b) : LinearProduct(a, b.t());
}

/// sum += dy^T x
void AddProduct(torch::Tensor& sum, const torch::Tensor& dy, const torch::Tensor& x) {
  constexpr int64_t kRowsThatPay = 64;  // with fewer the second pass over the sum costs what the faster product saves
  if (dy.size(0) < kRowsThatPay) {
    sum.addmm_(dy.t(), x);
  } else {
    sum.add_(Product(dy.t(), x));
  }
}

class LinearFunction : public autograd::Function<LinearFunction> {
 public:
  static torch::Tensor forward(autograd::AutogradContext* context, const torch::Tensor& x, const torch::Tensor& weight,
                               const torch::Tensor& bias) {
    context->save_for_backward({x, weight});
    return LinearProduct(x, weight, bias);
  }

  static autograd::variable_list backward(autograd::AutogradContext* context, const autograd::variable_list& gradients) {
    const auto saved = context->get_saved_variables();
    const torch::Tensor &x = saved[0], &weight = saved[1], &dy = gradients[0];
    torch::Tensor dx, dweight, dbias;
    if (context->needs_input_grad(0)) dx = Product(dy, weight);
    if (context->needs_input_grad(2)) dbias = dy.sum(0);
    if (context->needs_input_grad(1)) {
      if (OnlyAccumulates(weight)) {
        AddProduct(torch::Tensor(weight).mutable_grad(), dy, x);
      } else {
        dweight = Product(dy.t(), x);
      }
    }
    return {dx, dweight, dbias};
  }
};

}  // namespace

torch::Tensor AccumulatingLinear(const torch::Tensor& x, const torch::Tensor& weight, const torch::Tensor& bias) {
  const bool applies = torch::GradMode::is_enabled() && weight.requires_grad() && weight.is_cpu() && weight.grad().defined() &&
                       bias.defined() && x.dim() == 2 && !at::autocast::is_autocast_enabled(at::kCPU);
  if (applies) return LinearFunction::apply(x, weight, bias);
  const bool plain = !torch::GradMode::is_enabled() && x.dim() == 2 && !at::autocast::is_autocast_enabled(at::kCPU);
  return plain ? LinearProduct(x, weight, bias) : torch::linear(x, weight, bias);
}

}  // namespace basin::models
