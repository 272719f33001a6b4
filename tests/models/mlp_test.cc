#include "models/mlp.h"

#include <gtest/gtest.h>
#include <torch/types.h>

#include "models/flat_params.h"
#include "models/registry.h"
#include "models/state_dict.h"
#include "tests/support/tensors.h"

namespace basin::models {
namespace {

int64_t NumParameters(const ModelOptions& options) { return FlatParams(*MakeModel(options, {1, 28, 28}, 10)).size(); }

TEST(Mlp, HasThreeHiddenLayersOf512) {
  const int64_t linear = 784 * 512 + 512 + 2 * (512 * 512 + 512) + 512 * 10 + 10;
  EXPECT_EQ(NumParameters({.name = "mlp", .norm = Norm::kNone}), linear);
  EXPECT_EQ(NumParameters({.name = "mlp", .norm = Norm::kBatch}), linear + 3 * 2 * 512);
}

TEST(Mlp, WidthMultipliesTheHiddenSizes) {
  EXPECT_EQ(NumParameters({.name = "mlp", .width = 2, .norm = Norm::kNone, .hidden = {3}}), 784 * 6 + 6 + 6 * 10 + 10);
}

TEST(Mlp, ReadsTheImageRowByRow) {
  const auto model = MakeModel({.name = "mlp", .norm = Norm::kNone, .hidden = {3}}, {2, 3, 3}, 2);
  const StateDict state = StateOf(*model);
  const torch::Tensor x = tests::RandomTensor({4, 2, 3, 3}, 1);
  const torch::Tensor hidden = torch::relu(x.reshape({4, 18}).mm(state[0].tensor.t()) + state[1].tensor);
  const torch::Tensor expected = hidden.mm(state[2].tensor.t()) + state[3].tensor;
  // 1e-5: sums of 18 float32 products in another order.
  EXPECT_LT(tests::RelativeDifference(model->forward(x), expected), 1e-5);
  EXPECT_LT(tests::RelativeDifference(model->forward(x.contiguous(torch::MemoryFormat::ChannelsLast)), expected), 1e-5);
  EXPECT_FALSE(model->prefers_channels_last());
}

}  // namespace
}  // namespace basin::models
