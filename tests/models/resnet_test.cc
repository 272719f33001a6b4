#include "models/resnet.h"

#include <gtest/gtest.h>
#include <torch/types.h>

#include "models/flat_params.h"
#include "models/registry.h"
#include "models/state_dict.h"

namespace basin::models {
namespace {

std::vector<std::string> NamesOf(const ModelOptions& options) {
  std::vector<std::string> names;
  for (const NamedTensor& item : StateOf(*MakeModel(options, {3, 32, 32}, 10))) names.push_back(item.name);
  return names;
}

void AppendConvAndNorm(std::vector<std::string>& names, const std::string& conv, const std::string& norm) {
  names.push_back(conv + ".weight");
  for (const char* part : {".weight", ".bias", ".running_mean", ".running_var", ".num_batches_tracked"}) names.push_back(norm + part);
}

struct Torchvision {
  std::vector<int> blocks;
  int convolutions;                       ///< in a block
  std::vector<std::string> projections;   ///< blocks with a downsample
};

std::vector<std::string> Expected(const Torchvision& net) {
  std::vector<std::string> names;
  AppendConvAndNorm(names, "conv1", "bn1");
  for (size_t stage = 0; stage < net.blocks.size(); ++stage) {
    for (int index = 0; index < net.blocks[stage]; ++index) {
      const std::string block = "layer" + std::to_string(stage + 1) + "." + std::to_string(index);
      for (int i = 1; i <= net.convolutions; ++i) {
        AppendConvAndNorm(names, block + ".conv" + std::to_string(i), block + ".bn" + std::to_string(i));
      }
      if (std::count(net.projections.begin(), net.projections.end(), block) > 0) {
        AppendConvAndNorm(names, block + ".downsample.0", block + ".downsample.1");
      }
    }
  }
  names.insert(names.end(), {"fc.weight", "fc.bias"});
  return names;
}

TEST(ResNet, HasTorchvisionsNamesInTorchvisionsOrder) {
  EXPECT_EQ(NamesOf({.name = "resnet18", .width = 0.0625}),
            Expected({{2, 2, 2, 2}, 2, {"layer2.0", "layer3.0", "layer4.0"}}));
  EXPECT_EQ(NamesOf({.name = "resnet34", .width = 0.0625}),
            Expected({{3, 4, 6, 3}, 2, {"layer2.0", "layer3.0", "layer4.0"}}));
  EXPECT_EQ(NamesOf({.name = "resnet50", .width = 0.0625}),
            Expected({{3, 4, 6, 3}, 3, {"layer1.0", "layer2.0", "layer3.0", "layer4.0"}}));
  EXPECT_EQ(NamesOf({.name = "resnet20", .width = 0.25}), Expected({{3, 3, 3}, 2, {"layer2.0", "layer3.0"}}));
}

struct Size {
  std::string name;
  int64_t side, classes, parameters;
  size_t tensors;
};

TEST(ResNet, HasThePublishedNumberOfParameters) {
  // torchvision's counts for 1,000 classes; resnet20 is the 0.27 million of the paper, here with projections.
  const std::vector<Size> sizes = {{"resnet18", 32, 100, 11'220'132, 62},
                                   {"resnet18", 224, 1000, 11'689'512, 62},
                                   {"resnet34", 224, 1000, 21'797'672, 110},
                                   {"resnet50", 224, 1000, 25'557'032, 161},
                                   {"resnet20", 32, 10, 272'474, 65}};
  for (const Size& size : sizes) {
    const FlatParams params(*MakeModel({.name = size.name}, {3, size.side, size.side}, size.classes));
    EXPECT_EQ(params.size(), size.parameters) << size.name;
    EXPECT_EQ(params.slots().size(), size.tensors) << size.name;
  }
}

TEST(ResNet, ChoosesItsStemByTheHeightOfTheImages) {
  const auto kernel = [](const std::string& name, int64_t height) {
    return StateOf(*MakeModel({.name = name, .width = 0.125}, {3, height, 64}, 10)).front().tensor.size(2);
  };
  EXPECT_EQ(kernel("resnet18", 63), 3);
  EXPECT_EQ(kernel("resnet18", 64), 7);
  EXPECT_EQ(kernel("resnet20", 64), 3);
}

TEST(ResNet, ProjectsWhereTheShapeChanges) {
  for (const NamedTensor& item : StateOf(*MakeModel({.name = "resnet20", .norm = Norm::kNone}, {3, 32, 32}, 10))) {
    if (item.name == "layer2.0.downsample.0.weight") {
      EXPECT_EQ(item.tensor.sizes(), (std::vector<int64_t>{32, 16, 1, 1}));
      return;
    }
  }
  FAIL() << "no projection";
}

}  // namespace
}  // namespace basin::models
