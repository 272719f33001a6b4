#include "models/convnet.h"

#include <gtest/gtest.h>
#include <torch/types.h>

#include "models/flat_params.h"
#include "models/registry.h"
#include "models/state_dict.h"

namespace basin::models {
namespace {

TEST(ConvNet, HasTheSizesOfTheQuickStart) {
  const auto model = MakeModel({.name = "convnet"}, {3, 32, 32}, 10);
  int64_t num_buffer_floats = 0;
  for (const torch::Tensor& buffer : model->buffers()) num_buffer_floats += buffer.is_floating_point() ? buffer.numel() : 0;
  const FlatParams params(*model);
  EXPECT_EQ(params.size(), 61'338);
  EXPECT_EQ(params.slots().size(), 14u);
  EXPECT_EQ(num_buffer_floats, 352);
}

TEST(ConvNet, GivesItsConvolutionsABiasOnlyWithoutANorm) {
  const int64_t without_norms = 61'338 - 2 * (16 + 32 + 64 + 64), biases = 16 + 32 + 64 + 64;
  EXPECT_EQ(FlatParams(*MakeModel({.name = "convnet", .norm = Norm::kNone}, {3, 32, 32}, 10)).size(), without_norms + biases);
  EXPECT_EQ(FlatParams(*MakeModel({.name = "convnet", .norm = Norm::kLayer}, {3, 32, 32}, 10)).size(), 61'338);
}

TEST(ConvNet, HasItsNamesInOrder) {
  const StateDict state = StateOf(*MakeModel({.name = "convnet"}, {3, 32, 32}, 10));
  std::vector<std::string> names, expected;
  for (const NamedTensor& item : state) names.push_back(item.name);
  for (const std::string i : {"1", "2", "3", "4"}) {
    for (const std::string part : {"weight", "bias", "running_mean", "running_var", "num_batches_tracked"}) {
      if (part == "weight") expected.push_back("conv" + i + ".weight");
      expected.push_back("bn" + i + "." + part);
    }
  }
  expected.insert(expected.end(), {"fc.weight", "fc.bias"});
  EXPECT_EQ(names, expected);
}

}  // namespace
}  // namespace basin::models
