// The networks against plain PyTorch modules with torchvision's names: tests/golden/make_models.py wrote the numbers.
#include <gtest/gtest.h>
#include <torch/types.h>

#include <cmath>

#include "base/json.h"
#include "models/batch_norm.h"
#include "models/registry.h"
#include "models/state_dict.h"
#include "tests/support/tensors.h"

namespace basin::models {
namespace {

using base::Json;

const Json& Cases() {
  static const Json golden = base::ReadJson(BASIN_SOURCE_DIR "/tests/golden/models.json");
  return golden.at("cases");
}

/// Numbers in [-1, 1) by an integer hash of (index, k), as the script's scatter().
double Scatter(int64_t index, uint32_t k) {
  uint32_t x = static_cast<uint32_t>(index) * 2654435761u + k * 2246822519u;
  for (const int shift : {15, 13, 16}) x = (x ^ (x >> shift)) * 0x2C1B3C6Du;
  return static_cast<double>(x) / 0x1p31 - 1;
}

torch::Tensor Scattered(torch::IntArrayRef shape, uint32_t k, double centre, double scale) {
  torch::Tensor values = torch::empty(shape);
  float* out = values.mutable_data_ptr<float>();
  for (int64_t i = 0; i < values.numel(); ++i) out[i] = static_cast<float>(centre + scale * Scatter(i, k));
  return values;
}

/// As the script's fill().
void FillByFormula(Classifier& model) {
  torch::NoGradGuard no_grad;
  uint32_t k = 0;
  for (const NamedTensor& item : StateOf(model)) {
    const uint32_t index = k++;
    if (item.name.ends_with("num_batches_tracked")) continue;
    double centre = 0, scale = 0.1;
    if (item.tensor.dim() > 1) {
      scale = std::sqrt(6.0 / static_cast<double>(item.tensor.numel() / item.tensor.size(0)));
    } else if (item.name.ends_with("running_var")) {
      centre = 1;
      scale = 0.3;
    } else if (item.name.ends_with("weight")) {
      centre = 1;
    }
    torch::Tensor(item.tensor).copy_(Scattered(item.tensor.sizes(), index, centre, scale));
  }
}

torch::Tensor ImagesByFormula(const Json& golden) {
  const auto side = golden.at("side").get<int64_t>();
  return Scattered({golden.at("count").get<int64_t>(), golden.at("channels").get<int64_t>(), side, side}, 1000, 0, 1);
}

torch::Tensor Numbers(const Json& list) { return torch::tensor(list.get<std::vector<double>>(), torch::kFloat64); }

class GoldenNetwork : public ::testing::TestWithParam<size_t> {
 protected:
  GoldenNetwork() : golden_(Cases().at(GetParam())) {
    const std::map<std::string, Norm> norms = {{"batch", Norm::kBatch}, {"layer", Norm::kLayer}, {"none", Norm::kNone}};
    const auto side = golden_.at("side").get<int64_t>();
    model_ = MakeModel({.name = golden_.at("name"), .width = golden_.at("width"), .norm = norms.at(golden_.at("norm"))},
                       {golden_.at("channels"), side, side}, golden_.at("classes"));
    FillByFormula(*model_);
  }

  const Json& golden_;
  std::shared_ptr<Classifier> model_;
};

// The reference is double precision; 1e-5 of the largest logit is what float32 sums may lose.
constexpr double kFloatTolerance = 1e-5;
// The file holds nine digits.
constexpr double kDoubleTolerance = 1e-8;

TEST_P(GoldenNetwork, HasPyTorchsLogitsInEvaluation) {
  torch::NoGradGuard no_grad;
  model_->eval();
  EXPECT_LT(tests::RelativeDifference(model_->forward(ImagesByFormula(golden_)).flatten(), Numbers(golden_.at("eval"))),
            kFloatTolerance);
}

// In float32 a pre-activation within rounding of 0 opens or shuts a ReLU, and batch norm over the few pixels of the last
// stages magnifies that to percents, differently on every processor (PyTorch's own memory formats disagree as much). In
// double precision the same networks must agree to the last printed digit.
TEST_P(GoldenNetwork, HasPyTorchsLogitsAndGradientsInTrainingInDoublePrecision) {
  model_->to(torch::kFloat64);
  model_->train();
  // A defined gradient is what training has, and what the fused accumulation of linear layers asks for.
  for (torch::Tensor& parameter : model_->parameters()) parameter.mutable_grad() = torch::zeros_like(parameter);
  const torch::Tensor logits = model_->forward(ImagesByFormula(golden_).to(torch::kFloat64));
  EXPECT_LT(tests::RelativeDifference(logits.detach().flatten(), Numbers(golden_.at("train"))), kDoubleTolerance);
  torch::cross_entropy_loss(logits, torch::arange(logits.size(0)) % logits.size(1)).backward();
  const torch::Tensor expected = Numbers(golden_.at("gradient_norms"));
  const double largest = expected.max().item<double>();
  const auto parameters = model_->named_parameters();
  ASSERT_EQ(static_cast<int64_t>(parameters.size()), expected.numel());
  for (size_t i = 0; i < parameters.size(); ++i) {
    const double exact = expected[static_cast<int64_t>(i)].item<double>();
    // Some gradients are 0 in exact arithmetic (a bias before batch norm): there rounding of the others is left.
    EXPECT_NEAR(parameters[i].value().grad().norm().item<double>(), exact, kDoubleTolerance * (exact + 0.01 * largest))
        << parameters[i].key();
  }
}

INSTANTIATE_TEST_SUITE_P(Models, GoldenNetwork, ::testing::Range(size_t{0}, Cases().size()), [](const auto& info) {
  const Json& golden = Cases().at(info.param);
  return golden.at("name").get<std::string>() + "_" + golden.at("norm").get<std::string>() + "_" +
         std::to_string(golden.at("side").get<int64_t>());
});

}  // namespace
}  // namespace basin::models
