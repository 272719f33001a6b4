#include "merge/sinkhorn.h"

#include <torch/autograd.h>
#include <torch/optim/adamw.h>

#include <array>
#include <cmath>
#include <map>
#include <utility>

#include "base/error.h"
#include "merge/assignment.h"
#include "merge/match.h"
#include "merge/midpoint.h"
#include "models/state_dict.h"

namespace basin::merge {
namespace {

torch::Tensor Normalised(torch::Tensor logs, int iterations) {
  for (int k = 0; k < iterations; ++k) {
    logs = logs - logs.logsumexp(1, /*keepdim=*/true);
    logs = logs - logs.logsumexp(0, /*keepdim=*/true);
  }
  return logs.exp();
}

/// dL/dM of Sinkhorn(M) at its value p; see the header.
torch::Tensor ImplicitGradient(const torch::Tensor& p, const torch::Tensor& gradient) {
  const int64_t n = p.size(0);
  const torch::Tensor h = p * gradient;
  const torch::Tensor rows = p.sum(1), columns = p.sum(0), h_rows = h.sum(1), h_columns = h.sum(0);
  torch::Tensor y = torch::zeros_like(columns);
  if (n > 1) {
    const torch::Tensor scaled = p / rows.unsqueeze(1);
    const torch::Tensor system = columns.diag() - p.t().mm(scaled);
    const torch::Tensor right = h_columns - scaled.t().mv(h_rows);
    y.narrow(0, 0, n - 1).copy_(torch::linalg_solve(system.narrow(0, 0, n - 1).narrow(1, 0, n - 1), right.narrow(0, 0, n - 1)));
  }
  const torch::Tensor x = (h_rows - p.mv(y)) / rows;
  return h - p * (x.unsqueeze(1) + y.unsqueeze(0));
}

class ImplicitSinkhorn : public torch::autograd::Function<ImplicitSinkhorn> {
 public:
  static torch::Tensor forward(torch::autograd::AutogradContext* context, const torch::Tensor& logs, int64_t iterations) {
    const torch::Tensor p = Normalised(logs, static_cast<int>(iterations));
    context->save_for_backward({p});
    return p;
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context, torch::autograd::variable_list gradients) {
    const torch::NoGradGuard no_grad;
    return {ImplicitGradient(context->get_saved_variables()[0], gradients[0]), torch::Tensor()};
  }
};

void CheckCost(const torch::Tensor& cost, double tau, int iterations) {
  BASIN_CHECK(cost.dim() == 2 && cost.size(0) == cost.size(1) && cost.scalar_type() == torch::kFloat64, "a cost of shape ", cost.sizes(),
              " and type ", cost.scalar_type(), "; it must be float64 [n, n]");
  BASIN_CHECK(tau > 0 && iterations >= 1, "Sinkhorn: tau ", tau, ", ", iterations, " iterations");
}

using Matrices = std::map<std::string, torch::Tensor>;

/// One run of MatchSinkhorn.
class Search {
 public:
  Search(models::Classifier& network, const models::StateDict& a, const models::StateDict& b, const SinkhornOptions& options)
      : network_(network), spec_(network.symmetry()), a_(a), b_(b), options_(options) {
    const std::array<const models::StateDict*, 2> both{&a, &b};
    for (const Versions& versions : MatchStates(both)) {
      if (!spec_.axes().contains(versions.name) || models::IsBatchNormStatistic(versions.name)) continue;
      wide_.push_back({versions.name, versions.tensors[0].to(torch::kFloat64), versions.tensors[1].to(torch::kFloat64)});
      scale_ += (wide_.back().a - wide_.back().b).square().sum().item<double>();
    }
    if (!(scale_ > 0)) scale_ = 1;  // equal networks
    for (const auto& [id, n] : models::ValidateSpec(spec_, b)) {
      const auto warm = options.warm.find(id);
      const torch::Tensor order = warm == options.warm.end() ? torch::arange(n) : warm->second;
      costs_[id] = (-options.start * torch::eye(n, torch::kFloat64).index_select(0, order)).requires_grad_();
    }
  }

  std::vector<torch::Tensor> costs() const {
    std::vector<torch::Tensor> all;
    for (const auto& [id, cost] : costs_) all.push_back(cost);
    return all;
  }

  /// The loss at the soft permutations; gradients go to the costs.
  double Descend(const LabelledBatch* batch) {
    const torch::AutoGradMode with_gradients(true);
    Matrices soft;
    for (const auto& [id, cost] : costs_) soft[id] = Sinkhorn(cost, options_.tau, options_.iterations);
    std::vector<torch::Tensor> moved;
    for (const Wide& tensor : wide_) moved.push_back(Moved(tensor, soft));
    if (batch == nullptr) {
      torch::Tensor loss = torch::zeros({}, torch::kFloat64);
      for (size_t t = 0; t < wide_.size(); ++t) loss = loss + (wide_[t].a - moved[t]).square().sum() / scale_;
      loss.backward();
      return loss.item<double>();
    }
    models::StateDict there = b_;
    std::map<std::string, size_t> index;
    for (size_t t = 0; t < wide_.size(); ++t) index[wide_[t].name] = t;
    for (models::NamedTensor& item : there) {
      const auto found = index.find(item.name);
      if (found != index.end()) item.tensor = moved[found->second].detach().to(item.tensor.options());
    }
    const MidpointLoss found = LossAtMidpoint(network_, a_, there, *batch);
    std::vector<torch::Tensor> ends, gradients;
    for (size_t t = 0; t < wide_.size(); ++t) {
      const auto gradient = found.gradient.find(wide_[t].name);
      if (gradient == found.gradient.end() || !moved[t].requires_grad()) continue;
      ends.push_back(moved[t]);
      gradients.push_back(gradient->second.to(torch::kCPU, torch::kFloat64) / 2);
    }
    torch::autograd::backward(ends, gradients);
    return found.loss;
  }

  models::Permutations Hardened() const {
    const torch::NoGradGuard no_grad;
    models::Permutations permutations;
    for (const auto& [id, cost] : costs_) {
      const torch::Tensor gains = (-cost).contiguous();
      const auto columns = MaximiseAssignment({gains.const_data_ptr<double>(), static_cast<size_t>(gains.numel())}, gains.size(0));
      permutations[id] = torch::tensor(at::ArrayRef<int64_t>(columns));
    }
    return permutations;
  }

  double LossAt(const models::Permutations& permutations, const LabelledBatch* batch) {
    const models::StateDict there = models::ApplyPermutations(spec_, permutations, b_);
    if (batch != nullptr) return LossAtMidpoint(network_, a_, there, *batch).loss;
    const torch::NoGradGuard no_grad;
    double sum = 0;
    for (const Wide& tensor : wide_) sum += (tensor.a - *models::FindTensor(there, tensor.name)).square().sum().item<double>();
    return sum / scale_;
  }

 private:
  struct Wide {
    std::string name;
    torch::Tensor a, b;  // float64
  };

  /// new[.., i, ..] = sum_j P[i, j] old[.., j, ..] along every axis with an id.
  torch::Tensor Moved(const Wide& tensor, const Matrices& soft) const {
    torch::Tensor moved = tensor.b;
    const auto& ids = spec_.axes().at(tensor.name);
    for (size_t axis = 0; axis < ids.size(); ++axis) {
      if (ids[axis].empty()) continue;
      moved = torch::tensordot(moved, soft.at(ids[axis]), {static_cast<int64_t>(axis)}, {1}).movedim(-1, static_cast<int64_t>(axis));
    }
    return moved;
  }

  models::Classifier& network_;
  models::PermutationSpec spec_;
  const models::StateDict& a_;
  const models::StateDict& b_;
  const SinkhornOptions& options_;
  std::vector<Wide> wide_;
  double scale_ = 0;
  Matrices costs_;
};

}  // namespace

torch::Tensor Sinkhorn(const torch::Tensor& cost, double tau, int iterations) {
  CheckCost(cost, tau, iterations);
  return ImplicitSinkhorn::apply(-cost / tau, iterations);
}

torch::Tensor SinkhornUnrolled(const torch::Tensor& cost, double tau, int iterations) {
  CheckCost(cost, tau, iterations);
  return Normalised(-cost / tau, iterations);
}

SinkhornMatching MatchSinkhorn(models::Classifier& network, const models::StateDict& a, const models::StateDict& b,
                               const SinkhornOptions& options, const std::optional<TrainingBatches>& batches) {
  const int64_t steps = batches ? batches->steps : options.weight_steps;
  BASIN_CHECK(steps > 0, "Sinkhorn matching needs at least one step");
  if (!options.warm.empty()) models::ApplyPermutations(network.symmetry(), options.warm, b);  // refuses what is no permutation
  Search search(network, a, b, options);
  torch::optim::AdamW optimizer(search.costs(), torch::optim::AdamWOptions(options.lr));
  SinkhornMatching result;
  for (int64_t step = 0; step < steps; ++step) {
    std::optional<LabelledBatch> batch;
    if (batches) batch = batches->at(step);
    const LabelledBatch* const seen = batch ? &*batch : nullptr;
    const models::Permutations hardened = search.Hardened();
    result.hard.push_back(search.LossAt(hardened, seen));
    optimizer.zero_grad();
    result.soft.push_back(search.Descend(seen));
    if (!std::isfinite(result.soft.back()) || !std::isfinite(result.hard.back())) {
      throw DataError(Text("Sinkhorn matching: the loss of step ", step, " is not finite; the networks or the images are damaged"));
    }
    if (step == 0 || result.hard.back() < result.hard[result.best_step]) {
      result.best_step = step;
      result.permutations = hardened;
    }
    optimizer.step();
  }
  return result;
}

}  // namespace basin::merge
