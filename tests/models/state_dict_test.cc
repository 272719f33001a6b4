#include "models/state_dict.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/types.h>

#include <limits>

#include "base/error.h"
#include "base/files.h"
#include "base/safetensors.h"
#include "models/flat_params.h"
#include "models/registry.h"
#include "tests/support/tensors.h"

namespace basin::models {
namespace {

using tests::RandomTensor;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::shared_ptr<Classifier> SmallNet() { return MakeModel({.name = "convnet", .width = 0.25}, {3, 16, 16}, 4); }

std::vector<std::string> Names(const StateDict& state) {
  std::vector<std::string> names;
  for (const NamedTensor& item : state) names.push_back(item.name);
  return names;
}

template <typename Failure, typename Action>
std::string MessageOf(const Action& action) {
  try {
    action();
  } catch (const Failure& failure) {
    return failure.what();
  }
  return "(nothing was thrown)";
}

TEST(StateOf, HasPythonsOrder) {
  const auto model = MakeModel({.name = "mlp", .hidden = {2}}, {1, 2, 2}, 2);
  EXPECT_THAT(Names(StateOf(*model)),
              ElementsAre("layers.0.weight", "layers.0.bias", "layers.1.weight", "layers.1.bias", "norms.0.weight",
                          "norms.0.bias", "norms.0.running_mean", "norms.0.running_var", "norms.0.num_batches_tracked"));
}

TEST(StateOf, SharesTheModulesStorage) {
  const auto model = SmallNet();
  const StateDict state = StateOf(*model);
  torch::Tensor(*FindTensor(state, "fc.bias")).fill_(7);
  EXPECT_TRUE(torch::equal(model->named_parameters()["fc.bias"], torch::full({4}, 7.0f)));
  EXPECT_FALSE(FindTensor(state, "fc.bias")->requires_grad());
}

TEST(StateOf, IsTheSameForFlatParameters) {
  const auto model = SmallNet();
  const std::vector<std::string> before = Names(StateOf(*model));
  const FlatParams params(*model);
  EXPECT_EQ(Names(StateOf(*model)), before);
}

TEST(StateOf, NamesTiedWeightsOnce) {
  struct Tied : torch::nn::Module {
    Tied() {
      register_module("a", first);
      register_module("b", second);
      second->weight.set_data(first->weight.data());
    }
    torch::nn::Linear first{2, 2}, second{2, 2};
  } net;
  EXPECT_THAT(Names(StateOf(net)), ElementsAre("a.weight", "a.bias", "b.bias"));
}

TEST(CloneState, SharesNothing) {
  const auto model = SmallNet();
  const StateDict copy = CloneState(StateOf(*model));
  InitialiseWeights(*model, 9, 9);
  EXPECT_FALSE(torch::equal(copy.front().tensor, StateOf(*model).front().tensor));
}

TEST(LoadState, MakesTwoNetworksComputeTheSame) {
  const auto a = SmallNet(), b = SmallNet();
  InitialiseWeights(*b, 3, 1);
  const torch::Tensor x = RandomTensor({2, 3, 16, 16}, 1);
  b->forward(x);  // moves the batch-norm statistics
  LoadState(*a, CloneState(StateOf(*b)));
  a->eval();
  b->eval();
  EXPECT_TRUE(torch::equal(a->forward(x), b->forward(x)));
}

TEST(LoadState, ListsEverythingThatDoesNotFitAndChangesNothing) {
  const auto model = SmallNet();
  StateDict state = CloneState(StateOf(*model));
  const torch::Tensor before = state.front().tensor.clone();
  state[0].tensor += 1;
  state[1].name = "bn1.wait";
  state.back().tensor = torch::zeros({5});
  const std::string message = MessageOf<DataError>([&] { LoadState(*model, state, "old.safetensors"); });
  EXPECT_THAT(message, AllOf(HasSubstr("old.safetensors"), HasSubstr("missing: bn1.weight"), HasSubstr("unexpected: bn1.wait"),
                             HasSubstr("fc.bias"), HasSubstr("[5]"), HasSubstr("[4]")));
  EXPECT_TRUE(torch::equal(StateOf(*model).front().tensor, before));
}

TEST(LoadState, RefusesFloatsForCounters) {
  const auto model = SmallNet();
  StateDict state = CloneState(StateOf(*model));
  for (NamedTensor& item : state) item.tensor = item.tensor.to(torch::kFloat64);
  EXPECT_THAT(MessageOf<DataError>([&] { LoadState(*model, state); }), HasSubstr("bn1.num_batches_tracked"));
}

TEST(SaveState, ComesBackBitForBitInEveryType) {
  const base::TemporaryFolder folder;
  const auto path = folder.path() / "state.safetensors";
  StateDict state = {{"transposed", RandomTensor({3, 4}, 1).t()}, {"scalar", torch::tensor(2.5)}, {"empty", torch::zeros({0, 3})}};
  for (const auto type : {torch::kFloat64, torch::kFloat16, torch::kBFloat16, torch::kInt64, torch::kInt32, torch::kInt16,
                          torch::kInt8, torch::kUInt8, torch::kBool}) {
    state.push_back({Text("t", state.size()), (RandomTensor({5}, state.size()).abs() * 50).to(type)});
  }
  SaveState(path, state, {{"epoch", "3"}});
  const StateDict loaded = ReadState(path);
  ASSERT_EQ(loaded.size(), state.size());
  for (const NamedTensor& item : state) {
    const torch::Tensor* tensor = FindTensor(loaded, item.name);
    ASSERT_NE(tensor, nullptr) << item.name;
    EXPECT_EQ(tensor->scalar_type(), item.tensor.scalar_type()) << item.name;
    EXPECT_TRUE(torch::equal(*tensor, item.tensor)) << item.name;
  }
  const auto metadata = base::SafetensorsReader(path).metadata();
  EXPECT_EQ(metadata.at("format"), "pt");
  EXPECT_EQ(metadata.at("epoch"), "3");
}

TEST(ReadState, NamesTheTensorThatIsNotFinite) {
  const base::TemporaryFolder folder;
  const auto path = folder.path() / "diverged.safetensors";
  torch::Tensor bad = torch::zeros({4});
  bad[2] = std::numeric_limits<float>::infinity();
  bad[3] = std::numeric_limits<float>::quiet_NaN();
  SaveState(path, {{"good", torch::zeros({4})}, {"fc.weight", bad}});
  EXPECT_THAT(MessageOf<DataError>([&] { ReadState(path); }),
              AllOf(HasSubstr("diverged.safetensors"), HasSubstr("fc.weight"), HasSubstr("2 of 4")));
}

TEST(ReadState, RefusesATypeThatNetworksDoNotHave) {
  const base::TemporaryFolder folder;
  const auto path = folder.path() / "complex.safetensors";
  const std::vector<std::byte> bytes(8);
  base::WriteSafetensors(path, {{"w", base::DType::kC64, {1}, bytes}});
  EXPECT_THAT(MessageOf<DataError>([&] { ReadState(path); }), AllOf(HasSubstr("C64"), HasSubstr("F32")));
}

TEST(IsBatchNormStatistic, GoesByTheLastPartOfTheName) {
  EXPECT_TRUE(IsBatchNormStatistic("layer1.0.bn1.running_mean"));
  EXPECT_TRUE(IsBatchNormStatistic("running_var"));
  EXPECT_TRUE(IsBatchNormStatistic("bn1.num_batches_tracked"));
  EXPECT_FALSE(IsBatchNormStatistic("bn1.weight"));
  EXPECT_FALSE(IsBatchNormStatistic("not_running_mean"));
}

}  // namespace
}  // namespace basin::models
