#include "models/torchscript.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/script.h>

#include <filesystem>
#include <fstream>

#include "base/error.h"
#include "base/files.h"
#include "base/json.h"
#include "models/batch_norm.h"
#include "models/flat_params.h"
#include "models/layers.h"
#include "models/mlp.h"
#include "models/registry.h"
#include "models/state_dict.h"
#include "tests/support/script_file.h"
#include "tests/support/tensors.h"

namespace basin::models {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using tests::RandomTensor;
using tests::RelativeDifference;
namespace jit = torch::jit;

constexpr InputShape kInput{1, 3, 4};
constexpr int64_t kClasses = 5, kHidden = 7;

class ScriptFile : public ::testing::Test {
 protected:
  std::filesystem::path Write(double momentum = 0, const std::string& after = "") {
    tests::WriteScript(path(), {.inputs = kInput.height * kInput.width, .hidden = kHidden, .classes = kClasses, .momentum = momentum, .then = after});
    return path();
  }
  std::filesystem::path path() const { return folder_.path() / "net.pt"; }
  std::shared_ptr<Classifier> Make(int64_t classes = kClasses) const {
    return MakeModel({.name = "torchscript", .path = path()}, kInput, classes);
  }
  std::string Refusal(int64_t classes = kClasses) const {
    try {
      Make(classes);
    } catch (const ConfigError& refused) {
      return refused.what();
    }
    return "it was taken";
  }

 private:
  const base::TemporaryFolder folder_;
};

std::vector<std::string> NamesOf(const torch::nn::Module& model) {
  std::vector<std::string> names;
  for (const NamedTensor& item : StateOf(model)) names.push_back(item.name);
  return names;
}

TEST_F(ScriptFile, HasTheTensorsOfTheFileUnderTheirNames) {
  Write(0.1);
  EXPECT_THAT(NamesOf(*Make()), ElementsAre("first.weight", "first.bias", "norm.weight", "norm.bias", "norm.running_mean", "norm.running_var",
                                            "norm.num_batches_tracked", "last.weight", "last.bias"));
}

TEST_F(ScriptFile, KeepsItsWeightsWhateverSeedAndMember) {
  Write();
  const auto a = Make(), b = Make();
  InitialiseWeights(*b, /*run_seed=*/9, /*member=*/3);
  EXPECT_EQ(FlatParams(*a).values_hash(), FlatParams(*b).values_hash());
}

// The built-in mlp of the same weights is the measure: same logits, same gradients, and both follow when the flat vector moves.
TEST_F(ScriptFile, TrainsFromTheFlatVectorAsABuiltInNetworkDoes) {
  Write();
  const auto script = Make();
  const auto own = MakeMlp({.name = "mlp", .norm = Norm::kNone, .hidden = {kHidden}}, kInput, kClasses);
  FlatParams theirs(*script), ours(*own);
  ours.values().copy_(theirs.values());
  const torch::Tensor images = RandomTensor({6, 1, 3, 4}, 3);
  for (int step = 0; step < 3; ++step) {
    for (const auto& [model, flat] : {std::pair{script.get(), &theirs}, std::pair{own.get(), &ours}}) {
      flat->gradients().zero_();
      model->train();
      model->forward(images).square().sum().backward();
      const torch::NoGradGuard no_grad;
      flat->values().sub_(flat->gradients(), 0.001);
    }
    // 1e-6: the same products, in float32 and perhaps another order.
    EXPECT_GT(ours.gradients().abs().max().item<float>(), 0);
    EXPECT_LT(RelativeDifference(theirs.gradients(), ours.gradients()), 1e-6);
    EXPECT_LT(RelativeDifference(script->forward(images), own->forward(images)), 1e-6);
  }
}

TEST_F(ScriptFile, GivesTheSameBitsOnEveryCall) {
  Write(0.1);
  std::vector<uint64_t> hashes;
  for (int trial = 0; trial < 2; ++trial) {
    const auto model = Make();
    FlatParams flat(*model);
    if (trial == 1) {  // as after a resume: some calls fewer before the ones that count
      for (int call = 0; call < 4; ++call) model->eval(), model->forward(RandomTensor({6, 1, 3, 4}, 4));
    }
    model->train();
    model->forward(RandomTensor({6, 1, 3, 4}, 3)).square().sum().backward();
    flat.values().copy_(flat.gradients());
    hashes.push_back(flat.values_hash());
  }
  EXPECT_EQ(hashes[0], hashes[1]);
}

class ScriptMomentum : public ScriptFile, public ::testing::WithParamInterface<double> {};

// Two batches of different size count alike, as for the built-in layers (batch_norm_test).
TEST_P(ScriptMomentum, IsNoObstacleToRecomputingTheStatistics) {
  Write(GetParam());
  const auto model = Make();
  ASSERT_TRUE(HasBatchNorm(*model));
  const std::vector<torch::Tensor> batches{RandomTensor({6, 1, 3, 4}, 3), 2 * RandomTensor({9, 1, 3, 4}, 4) + 1};
  RecalibrateBatchNorm(*model, [&](const auto& visit) {
    for (const torch::Tensor& batch : batches) visit(batch);
  });
  const StateDict state = StateOf(*model);
  std::vector<torch::Tensor> units;
  for (const torch::Tensor& batch : batches)
    units.push_back(torch::linear(batch.flatten(1), *FindTensor(state, "first.weight"), *FindTensor(state, "first.bias")).to(torch::kFloat64));
  // 1e-5: float32 statistics, once through a multiplication by the momentum and back.
  EXPECT_LT(RelativeDifference(*FindTensor(state, "norm.running_mean"), (units[0].mean(0) + units[1].mean(0)) / 2), 1e-5);
  EXPECT_LT(RelativeDifference(*FindTensor(state, "norm.running_var"), (units[0].var(0, true) + units[1].var(0, true)) / 2), 1e-5);
  EXPECT_EQ(FindTensor(state, "norm.num_batches_tracked")->item<int64_t>(), 2);
  EXPECT_FALSE(model->is_training());
}

INSTANTIATE_TEST_SUITE_P(Momenta, ScriptMomentum, ::testing::Values(0.1, 0.01, 0.5));

TEST_F(ScriptFile, MovesItsStatisticsInTrainingByItsOwnMomentum) {
  Write(0.25);
  const auto model = Make();
  model->train();
  const torch::Tensor images = RandomTensor({6, 1, 3, 4}, 3);
  model->forward(images);
  const StateDict state = StateOf(*model);
  const torch::Tensor units = torch::linear(images.flatten(1), *FindTensor(state, "first.weight"), *FindTensor(state, "first.bias"));
  EXPECT_LT(RelativeDifference(*FindTensor(state, "norm.running_mean"), 0.25 * units.mean(0)), 1e-6);  // float32
}

TEST_F(ScriptFile, RefusesWhatLooksIntoLayers) {
  Write();
  const auto model = Make();
  EXPECT_THROW(model->symmetry(), ConfigError);
  EXPECT_THROW(HookedLayers(*model), ConfigError);
}

TEST_F(ScriptFile, IsRefusedWithTheReason) {
  EXPECT_THAT(Refusal(), HasSubstr("net.pt is not there"));
  std::ofstream(path()) << "no archive";
  EXPECT_THAT(Refusal(), HasSubstr("cannot be read as TorchScript"));
  Write();
  EXPECT_THAT(Refusal(kClasses + 1), HasSubstr("expected: float32 [4, 6]"));
  Write(0, "  x = torch.dropout(x, 0.5, self.training)\n");
  EXPECT_THAT(Refusal(), HasSubstr("draws random numbers (dropout)"));
  Write(0, "  x = x.flatten(0)\n");
  EXPECT_THAT(Refusal(), HasSubstr("net.pt fails on images [4, 1, 3, 4]: "));
  Write(0, "  x = x.double().float()\n");
  EXPECT_EQ(Refusal(), "it was taken");
}

TEST_F(ScriptFile, NeedsTrainableFloat32Weights) {
  jit::Module net("Net");
  net.define("def forward(self, x):\n  return x.flatten(1)\n");
  net.save(path().string());
  EXPECT_THAT(Refusal(), HasSubstr("has no trainable weights"));
  net.register_parameter("scale", torch::ones({1}, torch::kFloat64).requires_grad_(), false);
  net.save(path().string());
  EXPECT_THAT(Refusal(), HasSubstr("has scale of type Double; trainable weights must be float32"));
}

/// As tests/golden/torchscript.py makes them.
torch::Tensor GoldenImages(int64_t first, int64_t count) {
  return torch::sin(torch::arange(first, first + count * 2 * 8 * 8, torch::kFloat64) * 0.37).to(torch::kFloat32).view({count, 2, 8, 8});
}

TEST(GoldenScript, HasTheNamesTheLogitsAndTheRecomputedStatisticsOfPyTorch) {
  const std::filesystem::path folder = std::filesystem::path(BASIN_SOURCE_DIR) / "tests/golden";
  const base::Json golden = base::ReadJson(folder / "torchscript.json");
  const auto model = MakeModel({.name = "torchscript", .path = folder / "torchscript.pt"}, {2, 8, 8}, 4);
  EXPECT_EQ(NamesOf(*model), golden["names"].get<std::vector<std::string>>());
  model->eval();
  const torch::Tensor logits = model->forward(GoldenImages(0, 3)).detach().flatten().to(torch::kFloat64);
  // 1e-5: float32, perhaps another processor.
  EXPECT_LT(RelativeDifference(logits, torch::tensor(golden["logits"].get<std::vector<double>>(), torch::kFloat64)), 1e-5);

  RecalibrateBatchNorm(*model, [](const auto& visit) {
    visit(GoldenImages(1000, 5));
    visit(GoldenImages(5000, 7));
  });
  const StateDict state = StateOf(*model);
  for (const auto& [name, values] : golden["statistics"].items()) {
    const torch::Tensor expected = torch::tensor(values.get<std::vector<double>>(), torch::kFloat64);
    EXPECT_LT(RelativeDifference(*FindTensor(state, name), expected), 1e-5) << name;
  }
}

TEST(Registry, AsksForTheFileOfATorchScriptNetworkAndForNoOther) {
  EXPECT_THROW(MakeModel({.name = "torchscript"}, kInput, kClasses), ConfigError);
  EXPECT_THROW(MakeModel({.name = "mlp", .path = "net.pt"}, kInput, kClasses), ConfigError);
}

}  // namespace
}  // namespace basin::models
