#include "merge/taylor.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "merge/path.h"
#include "tests/merge/trial.h"

namespace basin::merge {
namespace {

using namespace trial;

/// images [n, d] -> images theta; with the squared error a quadratic in theta.
class LinearModel final : public models::Classifier {
 public:
  torch::Tensor forward(const torch::Tensor& images) override { return torch::matmul(images, theta); }
  models::PermutationSpec symmetry() const override { return {}; }
  torch::Tensor theta{register_parameter("theta", torch::zeros({5, 2}, torch::kFloat64))};
};

torch::Tensor Random(std::vector<int64_t> shape, uint64_t seed) {
  base::Stream stream({.run_seed = seed});
  return test::NormalTensor(shape, stream);
}

torch::Tensor SquaredError(const torch::Tensor& logits, const torch::Tensor& labels) { return (logits - labels).square().mean(); }
torch::Tensor CrossEntropy(const torch::Tensor& logits, const torch::Tensor& labels) { return torch::cross_entropy_loss(logits, labels); }

TEST(Taylor, IsExactForAQuadraticAtEveryLambda) {
  LinearModel model;
  const torch::Tensor images = Random({30, 5}, 1), labels = Random({30, 2}, 2);
  const models::StateDict a{{"theta", Random({5, 2}, 3)}, }, b{{"theta", Random({5, 2}, 4)}};
  // Batches of unequal size: their shares must be kept.
  const LabelledBatches batches = [&](const auto& visit) {
    visit(images.slice(0, 0, 20), labels.slice(0, 0, 20));
    visit(images.slice(0, 20), labels.slice(0, 20));
  };
  const LineEnd at_a = MeasureLineEnd(model, a, a, b, batches, SquaredError), at_b = MeasureLineEnd(model, b, a, b, batches, SquaredError);
  const auto loss = [&](double lambda) {
    return SquaredError(images.matmul(torch::lerp(a[0].tensor, b[0].tensor, lambda)), labels).item<double>();
  };
  // mu^T H mu = 2 |X mu|^2 / numel
  const double curvature = (images.matmul(b[0].tensor - a[0].tensor).square().mean() * 2).item<double>();
  EXPECT_NEAR(at_a.curvature / curvature, 1, 1e-12);
  EXPECT_NEAR(at_b.curvature / curvature, 1, 1e-12);
  EXPECT_NEAR(at_a.loss, loss(0), 1e-12);
  for (const double lambda : {0.0, 0.1, 0.5, 0.8, 1.0}) {
    const double barrier = loss(lambda) - (1 - lambda) * loss(0) - lambda * loss(1);
    EXPECT_NEAR(TaylorBarrier(at_a, at_b, lambda), barrier, 1e-12) << lambda;
    EXPECT_NEAR(TaylorBarrier(at_a, at_b, lambda), -lambda * (1 - lambda) / 2 * curvature, 1e-12) << lambda;
  }
}

class TaylorOfNetworks : public testing::Test {
 protected:
  TaylorOfNetworks() {
    // In double: differences of losses must not drown in rounding.
    for (const auto& item : models::StateOf(*Mlp(0))) a_.push_back({item.name, item.tensor.to(torch::kFloat64)});
    for (const auto& item : models::StateOf(*Mlp(1))) b_.push_back({item.name, item.tensor.to(torch::kFloat64)});
    model_->to(torch::kFloat64);
  }
  double Loss(const models::StateDict& state) {
    const torch::NoGradGuard no_grad;
    models::LoadState(*model_, state);
    return torch::cross_entropy_loss(model_->forward(images_), labels_).item<double>();
  }
  LineEnd At(const models::StateDict& state, const models::StateDict& to) {
    return MeasureLineEnd(*model_, state, a_, to, [&](const auto& visit) { visit(images_, labels_); }, CrossEntropy);
  }
  std::shared_ptr<models::Classifier> model_ = Mlp(2);
  torch::Tensor images_ = FirstOf(Batches(1, 60)).to(torch::kFloat64), labels_ = torch::arange(60).remainder(10);
  models::StateDict a_, b_;
};

TEST_F(TaylorOfNetworks, SlopeAndCurvatureAreThoseOfTheLossAlongTheLine) {
  const LineEnd end = At(a_, b_);
  const double h = 1e-6;
  const double left = Loss(Interpolate(a_, b_, -h)), middle = Loss(a_), right = Loss(Interpolate(a_, b_, h));
  EXPECT_NEAR(end.loss, middle, 1e-12);
  // Third derivatives times h^2; with so small a step hardly a unit crosses the corner of its ReLU. Rounding: 2e-16 / h^2.
  EXPECT_NEAR(end.slope / ((right - left) / (2 * h)), 1, 1e-5);
  EXPECT_NEAR(end.curvature / ((right - 2 * middle + left) / (h * h)), 1, 1e-2);
}

TEST_F(TaylorOfNetworks, PredictsTheBarrierOfNetworksThatAreClose) {
  const auto near = Interpolate(a_, b_, 1e-5);
  const LineEnd at_a = At(a_, near), at_near = At(near, near);
  const double truth = Loss(Interpolate(a_, near, 0.5)) - (Loss(a_) + Loss(near)) / 2;
  EXPECT_NEAR(TaylorBarrier(at_a, at_near, 0.5) / truth, 1, 0.01);  // |mu|^3 terms
}

TEST_F(TaylorOfNetworks, RefusesNetworksThatDoNotMatch) {
  EXPECT_THROW(At(a_, models::StateDict(a_.begin() + 1, a_.end())), DataError);
}

TEST(Taylor, WorksThroughConvolutionsAndBatchNorm) {
  const auto model = Residual(2, models::Norm::kBatch);
  const auto a = models::CloneState(models::StateOf(*Residual(0, models::Norm::kBatch))), b = models::CloneState(models::StateOf(*Residual(1, models::Norm::kBatch)));
  const LineEnd end = MeasureLineEnd(*model, a, a, b, [](const auto& visit) { visit(FirstOf(Batches(1, 4, {3, 16, 16})), torch::arange(4)); }, CrossEntropy);
  EXPECT_TRUE(std::isfinite(end.slope) && std::isfinite(end.curvature) && end.curvature != 0);
}

}  // namespace
}  // namespace basin::merge
