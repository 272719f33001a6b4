// Small networks, batches of random images, and what every test of merge/ asks of them.
#pragma once

#include <memory>
#include <vector>

#include "merge/average.h"
#include "models/batch_norm.h"
#include "models/registry.h"
#include "models/state_dict.h"
#include "tests/support/random_tensor.h"

namespace basin::merge::trial {

/// `count` batches of `size` standard normal images about 0.5, the same at every call of the visitor.
inline models::BatchVisitor Batches(int64_t count, int64_t size, std::vector<int64_t> image = {1, 4, 4}) {
  base::Stream stream({.run_seed = 5});
  auto batches = std::make_shared<std::vector<torch::Tensor>>();
  image.insert(image.begin(), size);
  for (int64_t i = 0; i < count; ++i) batches->push_back((test::NormalTensor(image, stream) + 0.5).to(torch::kFloat32));
  return [batches](const std::function<void(const torch::Tensor&)>& visit) {
    for (const torch::Tensor& batch : *batches) visit(batch);
  };
}

inline torch::Tensor FirstOf(const models::BatchVisitor& batches) {
  torch::Tensor first;
  batches([&](const torch::Tensor& images) {
    if (!first.defined()) first = images;
  });
  return first;
}

inline std::shared_ptr<models::Classifier> Network(const models::ModelOptions& options, const models::InputShape& input, uint64_t member) {
  auto model = models::MakeModel(options, input, 10);
  models::InitialiseWeights(*model, /*run_seed=*/1, member);
  model->eval();
  return model;
}

/// 1x4x4 images, three hidden layers of 64.
inline std::shared_ptr<models::Classifier> Mlp(uint64_t member, models::Norm norm = models::Norm::kNone) {
  return Network({.name = "mlp", .norm = norm, .hidden = {64, 64, 64}}, {1, 4, 4}, member);
}

/// 3x16x16 images, narrow, its convolutions without biases when there is a norm.
inline std::shared_ptr<models::Classifier> Residual(uint64_t member, models::Norm norm) {
  return Network({.name = "resnet20", .width = 0.25, .norm = norm}, {3, 16, 16}, member);
}

/// Of the same kind as a and b, at (1 - lambda) a + lambda b.
inline void LoadBetween(models::Classifier& merged, const models::Classifier& a, const models::Classifier& b, double lambda = 0.5) {
  models::LoadState(merged, AverageStates(std::vector{models::StateOf(a), models::StateOf(b)}, {.weights = {1 - lambda, lambda}}));
}

inline torch::Tensor LogitsOf(models::Classifier& model, const torch::Tensor& images) {
  const torch::NoGradGuard no_grad;
  return model.forward(images).clone();
}

/// max |found - expected| / max |expected|
inline double RelativeError(const torch::Tensor& found, const torch::Tensor& expected) {
  const torch::Tensor exact = expected.to(torch::kFloat64);
  return ((found.to(torch::kFloat64) - exact).abs().max() / exact.abs().max()).item<double>();
}

}  // namespace basin::merge::trial
