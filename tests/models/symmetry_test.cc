#include "models/symmetry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/types.h>

#include "base/error.h"
#include "models/registry.h"
#include "models/state_dict.h"
#include "tests/support/tensors.h"

namespace basin::models {
namespace {

using tests::RandomTensor;
using tests::RelativeDifference;
using ::testing::HasSubstr;

StateDict TwoLayers() {
  return {{"a.weight", RandomTensor({3, 2}, 1)}, {"a.bias", RandomTensor({3}, 2)}, {"b.weight", RandomTensor({2, 3}, 3)},
          {"b.bias", RandomTensor({2}, 4)}};
}

PermutationSpec TwoLayerSpec() {
  PermutationSpec spec;
  spec.Add("a.weight", {"P", ""});
  spec.Add("a.bias", {"P"});
  spec.Add("b.weight", {"", "P"});
  return spec;
}

std::string RefusalOf(const PermutationSpec& spec) {
  try {
    ValidateSpec(spec, TwoLayers());
  } catch (const CheckFailed& failure) {
    return failure.what();
  }
  return "(nothing was thrown)";
}

TEST(PermutationSpec, ListsThePlacesOfEachId) {
  const auto places = TwoLayerSpec().Places();
  ASSERT_EQ(places.size(), 1u);
  ASSERT_EQ(places.at("P").size(), 3u);
  EXPECT_EQ(places.at("P")[2].tensor, "b.weight");
  EXPECT_EQ(places.at("P")[2].axis, 1);
}

TEST(PermutationSpec, TakesEachTensorOnce) {
  PermutationSpec spec = TwoLayerSpec();
  EXPECT_THROW(spec.Add("a.bias", {"P"}), CheckFailed);
}

TEST(ValidateSpec, ReturnsTheSizes) {
  EXPECT_EQ(ValidateSpec(TwoLayerSpec(), TwoLayers()), (std::map<std::string, int64_t>{{"P", 3}}));
}

TEST(ValidateSpec, NamesWhatDoesNotFit) {
  PermutationSpec unknown = TwoLayerSpec();
  unknown.Add("c.weight", {"P"});
  EXPECT_THAT(RefusalOf(unknown), HasSubstr("c.weight"));

  PermutationSpec axes;
  axes.Add("a.weight", {"P"});
  EXPECT_THAT(RefusalOf(axes), HasSubstr("a.weight has 2 axes"));

  PermutationSpec sizes = TwoLayerSpec();
  sizes.Add("b.bias", {"P"});
  EXPECT_THAT(RefusalOf(sizes), HasSubstr("axis 0 of tensor b.bias"));

  PermutationSpec twice;
  twice.Add("a.weight", {"P", "P"});
  EXPECT_THAT(RefusalOf(twice), HasSubstr("two axes of tensor a.weight"));

  PermutationSpec no_consumer;
  no_consumer.Add("a.weight", {"P", ""});
  EXPECT_THAT(RefusalOf(no_consumer), HasSubstr("no consumer"));

  PermutationSpec no_producer;
  no_producer.Add("b.weight", {"", "P"});
  EXPECT_THAT(RefusalOf(no_producer), HasSubstr("no producer"));
}

TEST(ApplyPermutations, TakesNewIFromOldPiI) {
  const StateDict state = TwoLayers();
  const StateDict permuted = ApplyPermutations(TwoLayerSpec(), {{"P", torch::tensor({2, 0, 1})}}, state);
  const int64_t pi[] = {2, 0, 1};
  for (int64_t i = 0; i < 3; ++i) {
    EXPECT_TRUE(torch::equal(permuted[0].tensor[i], state[0].tensor[pi[i]]));
    EXPECT_TRUE(torch::equal(permuted[1].tensor[i], state[1].tensor[pi[i]]));
    EXPECT_TRUE(torch::equal(permuted[2].tensor.select(1, i), state[2].tensor.select(1, pi[i])));
  }
  EXPECT_EQ(permuted[3].tensor.const_data_ptr(), state[3].tensor.const_data_ptr()) << "nothing to permute: shared";
}

TEST(ApplyPermutations, WithoutAnIdIsACopy) {
  const StateDict state = TwoLayers();
  const StateDict same = ApplyPermutations(TwoLayerSpec(), {}, state);
  EXPECT_TRUE(torch::equal(same[0].tensor, state[0].tensor));
  EXPECT_NE(same[0].tensor.const_data_ptr(), state[0].tensor.const_data_ptr());
}

TEST(ApplyPermutations, RefusesWhatIsNoPermutation) {
  const auto apply = [](const torch::Tensor& pi) { ApplyPermutations(TwoLayerSpec(), {{"P", pi}}, TwoLayers()); };
  EXPECT_THROW(apply(torch::tensor({0, 1})), CheckFailed);
  EXPECT_THROW(apply(torch::tensor({0, 1, 1})), CheckFailed);
  EXPECT_THROW(apply(torch::tensor({1, 2, 3})), CheckFailed);
  EXPECT_THROW(apply(torch::tensor({0.0, 1.0, 2.0})), CheckFailed);
  EXPECT_THROW(ApplyPermutations(TwoLayerSpec(), {{"Q", torch::arange(3)}}, TwoLayers()), CheckFailed);
}

struct Case {
  std::string name;
  int64_t side = 32;
  double width = 0.125;
};

std::string TestName(const Case& network, Norm norm) {
  const char* norms[] = {"batch", "layer", "none"};
  return Text(network.name, "_", network.side, "_", norms[static_cast<int>(norm)]);
}

class EveryNetwork : public ::testing::TestWithParam<std::tuple<Case, Norm>> {};

/// Gains, biases and statistics away from 1 and 0, where a permutation would not show.
void Roughen(Classifier& model) {
  torch::NoGradGuard no_grad;
  uint64_t seed = 100;
  for (const NamedTensor& item : StateOf(model)) {
    torch::Tensor tensor = item.tensor;
    if (tensor.dim() == 1) tensor.add_(0.1 * RandomTensor(tensor.sizes().vec(), seed++).abs());
  }
}

TEST_P(EveryNetwork, KeepsItsFunctionUnderEveryPermutation) {
  const auto& [network, norm] = GetParam();
  const ModelOptions options{.name = network.name, .width = network.width, .norm = norm};
  const InputShape input{3, network.side, network.side};
  const auto model = MakeModel(options, input, 5), permuted = MakeModel(options, input, 5);
  Roughen(*model);

  const PermutationSpec spec = model->symmetry();
  Permutations permutations;
  uint64_t index = 0;
  for (const auto& [id, size] : ValidateSpec(spec, StateOf(*model))) {
    permutations[id] = torch::tensor(base::RandomPermutation(size, {1, base::Purpose::kTest, index++}));
  }
  const StateDict state = ApplyPermutations(spec, permutations, StateOf(*model));
  EXPECT_FALSE(torch::equal(state.front().tensor, StateOf(*model).front().tensor));
  LoadState(*permuted, state);

  // In double precision: batch norm over the few pixels of the last stages magnifies rounding, as far as the processor will.
  model->to(torch::kFloat64);
  permuted->to(torch::kFloat64);
  const torch::Tensor x = RandomTensor({4, 3, network.side, network.side}, 2).to(torch::kFloat64);
  torch::NoGradGuard no_grad;
  for (const bool training : {false, true}) {
    model->train(training);
    permuted->train(training);
    // 1e-9: sums over units in another order, through up to 50 layers.
    EXPECT_LT(RelativeDifference(permuted->forward(x), model->forward(x)), 1e-9) << (training ? "train" : "eval");
  }
}

// A specification that leaves out a unit of the network would pass the test above.
TEST_P(EveryNetwork, NamesEveryTensorThatHasUnits) {
  const auto& [network, norm] = GetParam();
  const auto model = MakeModel({.name = network.name, .width = network.width, .norm = norm}, {3, network.side, network.side}, 5);
  const auto spec = model->symmetry().axes();
  std::vector<std::string> left_out;
  for (const NamedTensor& item : StateOf(*model)) {
    if (item.tensor.dim() > 0 && !spec.contains(item.name)) left_out.push_back(item.name);
  }
  const std::string classifier = StateOf(*model).back().name;  // its bias belongs to the classes
  EXPECT_THAT(left_out, ::testing::ElementsAre(network.name == "mlp" ? "layers.3.bias" : classifier));
}

INSTANTIATE_TEST_SUITE_P(
    Models, EveryNetwork,
    ::testing::Combine(::testing::Values(Case{"mlp", 4, 0.03}, Case{"convnet", 16, 0.5}, Case{"vgg11"}, Case{"vgg13"}, Case{"vgg16"},
                                         Case{"vgg19"}, Case{"resnet20", 8, 0.5}, Case{"resnet32", 8, 0.5},
                                         Case{"resnet44", 8, 0.5}, Case{"resnet56", 8, 0.5}, Case{"resnet18"}, Case{"resnet34"},
                                         Case{"resnet50"}, Case{"resnet18", 64}),
                       ::testing::Values(Norm::kBatch, Norm::kLayer, Norm::kNone)),
    [](const auto& info) { return TestName(std::get<0>(info.param), std::get<1>(info.param)); });

struct IdCount {
  std::string name;
  size_t ids;
};

TEST(Symmetry, HasThePublishedNumberOfIds) {
  for (const auto& [name, ids] : std::vector<IdCount>{{"mlp", 3}, {"convnet", 4}, {"vgg11", 8}, {"vgg16", 13}, {"resnet20", 12},
                                                      {"resnet18", 12}, {"resnet50", 37}}) {
    const auto model = MakeModel({.name = name, .width = 0.0625}, {3, 32, 32}, 5);
    EXPECT_EQ(model->symmetry().Places().size(), ids) << name;
  }
}

}  // namespace
}  // namespace basin::models
