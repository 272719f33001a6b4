#include "models/vgg.h"

#include <gtest/gtest.h>
#include <torch/types.h>

#include "models/flat_params.h"
#include "models/registry.h"
#include "models/state_dict.h"

namespace basin::models {
namespace {

/// Names of the state from the indices of torchvision's convolutions and norms.
std::vector<std::string> Expected(const std::vector<int>& convolutions, bool norm) {
  std::vector<std::string> names;
  for (const int index : convolutions) {
    const std::string conv = "features." + std::to_string(index), next = "features." + std::to_string(index + 1);
    names.insert(names.end(), {conv + ".weight", conv + ".bias"});
    if (!norm) continue;
    for (const char* part : {".weight", ".bias", ".running_mean", ".running_var", ".num_batches_tracked"}) names.push_back(next + part);
  }
  names.insert(names.end(), {"classifier.weight", "classifier.bias"});
  return names;
}

std::vector<std::string> NamesOf(const ModelOptions& options) {
  std::vector<std::string> names;
  for (const NamedTensor& item : StateOf(*MakeModel(options, {3, 32, 32}, 10))) names.push_back(item.name);
  return names;
}

TEST(Vgg, CarriesTorchvisionsIndices) {
  // vgg11_bn, vgg11, vgg13_bn, vgg16_bn, vgg16 and vgg19_bn of torchvision.
  const double width = 0.0625;
  EXPECT_EQ(NamesOf({.name = "vgg11", .width = width}), Expected({0, 4, 8, 11, 15, 18, 22, 25}, true));
  EXPECT_EQ(NamesOf({.name = "vgg11", .width = width, .norm = Norm::kNone}), Expected({0, 3, 6, 8, 11, 13, 16, 18}, false));
  EXPECT_EQ(NamesOf({.name = "vgg13", .width = width}), Expected({0, 3, 7, 10, 14, 17, 21, 24, 28, 31}, true));
  EXPECT_EQ(NamesOf({.name = "vgg16", .width = width}), Expected({0, 3, 7, 10, 14, 17, 20, 24, 27, 30, 34, 37, 40}, true));
  EXPECT_EQ(NamesOf({.name = "vgg16", .width = width, .norm = Norm::kNone}),
            Expected({0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28}, false));
  EXPECT_EQ(NamesOf({.name = "vgg19", .width = width}),
            Expected({0, 3, 7, 10, 14, 17, 20, 23, 27, 30, 33, 36, 40, 43, 46, 49}, true));
}

TEST(Vgg, HasThePublishedNumberOfParameters) {
  const FlatParams params(*MakeModel({.name = "vgg16"}, {3, 32, 32}, 100));
  EXPECT_EQ(params.size(), 14'774'436);
  EXPECT_EQ(params.slots().size(), 54u);
}

TEST(Vgg, AveragesWhatLargerImagesLeave) {
  const auto model = MakeModel({.name = "vgg11", .width = 0.0625}, {3, 70, 100}, 7);
  EXPECT_EQ(model->forward(torch::ones({2, 3, 70, 100})).sizes(), (std::vector<int64_t>{2, 7}));
}

}  // namespace
}  // namespace basin::models
