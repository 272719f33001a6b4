// A merged file in the hands of somebody who has PyTorch and not Basin.
#include <gtest/gtest.h>

#include <cstdlib>

#include "base/files.h"
#include "base/json.h"
#include "models/registry.h"
#include "models/state_dict.h"
#include "tests/support/command.h"
#include "tests/support/tensors.h"

namespace basin {
namespace {

using base::Json;
using test::CommandResult;

constexpr int64_t kSide = 16, kChannels = 3, kClasses = 5;

const std::string kConfig = R"(
population: {members: 2, init: different}
data: {name: tensors, path: ., validation: 0, normalize: {mean: [0, 0, 0], std: [1, 1, 1]}}
train: {steps: 60, batch_size: 32, optimizer: {lr: 0.05}}
strategy: {name: independent}
evaluate: {every_epochs: 0, batch_size: 40}
lmc: {pairs: none}
model: )";

/// A Python that imports torch; empty when there is none.
std::string FindPython() {
  const char* asked = std::getenv("BASIN_PYTHON");
  const std::vector<std::string> candidates{asked == nullptr ? "" : asked, BASIN_SOURCE_DIR "/.venv/bin/python", "python3"};
  for (const std::string& python : candidates) {
    if (python.empty()) continue;
    const int exit_code = test::RunCommand({"/usr/bin/env", python, "-c", "import torch"}, {.deadline_s = 300}).exit_code;
    EXPECT_NE(exit_code, 137) << python << " has not imported torch in 300 s";
    if (exit_code == 0) return python;
  }
  return {};
}

struct Case {
  std::string title, align, renorm, norm;
  models::ModelOptions model;
};

/// The network as a YAML and JSON flow map, which `basin` and the script both read.
std::string Network(const Case& c) {
  Json network{{"name", c.model.name}, {"norm", c.norm}, {"width", c.model.width}};
  if (!c.model.hidden.empty()) network["hidden"] = c.model.hidden;
  return network.dump();
}

class MergedFile : public testing::TestWithParam<Case> {
 protected:
  std::string Path(const std::string& name) const { return (folder_.path() / name).string(); }

  /// Normal pictures whose label is written into one of five rows, so that there is something to learn.
  void WriteData(const std::string& name, int64_t count, uint64_t seed) const {
    torch::Tensor images = tests::RandomTensor({count, kChannels, kSide, kSide}, seed), labels = torch::arange(count) % kClasses;
    for (int64_t i = 0; i < count; ++i) images[i].select(1, 3 * (i % kClasses)).add_(2);
    models::SaveState(Path(name), {{"images", images}, {"labels", labels}});
  }

  Json Basin(std::vector<std::string> words) const {
    words.insert(words.begin(), test::Program("basin"));
    const CommandResult result = test::RunCommand(words, {.environment = {"OMP_NUM_THREADS=1"}, .deadline_s = 300});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return Json::parse(result.out, nullptr, /*allow_exceptions=*/false);
  }

  /// Two networks trained apart, fitted, averaged and mended into merged.safetensors.
  void Merge(const Case& c) const {
    WriteData("train.safetensors", 320, 1);
    WriteData("test.safetensors", 40, 2);
    base::WriteFileAtomically(Path("run.yaml"), kConfig + Network(c) + "\n");
    Basin({"train", Path("run.yaml"), "--quiet", "--run-dir", Path("run")});
    const std::string a = Path("run/members/000.safetensors"), b = Path("run/members/001.safetensors");
    Basin({"merge", Path("run.yaml"), a, b, "--align", c.align, "--renorm", c.renorm, "--json", "--out", Path("merged.safetensors")});
  }

  torch::Tensor OwnLogits(const Case& c) const {
    const torch::NoGradGuard no_grad;
    const auto model = models::MakeModel(c.model, {kChannels, kSide, kSide}, kClasses);
    models::LoadState(*model, models::ReadState(Path("merged.safetensors")));
    model->eval();
    const models::StateDict data = models::ReadState(Path("test.safetensors"));
    return model->forward(*models::FindTensor(data, "images"));
  }

 private:
  base::TemporaryFolder folder_;
};

TEST_P(MergedFile, LoadsInPyTorchByStrictNamesAndHasTheSameLogits) {
  static const std::string python = FindPython();
  if (python.empty()) GTEST_SKIP() << "no Python with torch: looked at BASIN_PYTHON, .venv/bin/python and python3";
  const Case& c = GetParam();
  Merge(c);
  Json network = Json::parse(Network(c));
  network["classes"] = kClasses;
  const std::vector<std::string> words{"/usr/bin/env", python, BASIN_SOURCE_DIR "/tests/e2e/logits_of.py", network.dump(),
                                       Path("merged.safetensors"), Path("test.safetensors")};
  const CommandResult result = test::RunCommand(words, {.deadline_s = 300});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const Json theirs = Json::parse(result.out);
  const auto logits = torch::tensor(theirs["logits"].get<std::vector<double>>(), torch::kFloat64);
  const auto own = OwnLogits(c).flatten().to(torch::kFloat64);
  EXPECT_GT(own.std().item<double>(), 0.1) << "a network that says the same of all pictures would compare nothing";
  // Logits are of the order of 1 to 10, float32 has 6e-8 of each, and sums of some hundreds of terms are taken in another order.
  EXPECT_LT((own - logits).abs().max().item<double>(), 1e-5);
  const Json scores = Basin({"eval", Path("run.yaml"), Path("merged.safetensors"), "--json"});
  EXPECT_NEAR(scores["models"][0]["test"]["loss"], theirs["loss"], 1e-5);
}

const std::vector<Case> kCases{
    {"PlainMlp", "weight", "repair", "none", {.name = "mlp", .norm = models::Norm::kNone, .hidden = {48, 32}}},
    {"ConvNetWithBatchNorm", "activation", "reset", "batch", {.name = "convnet", .width = 0.5}},
    {"ResidualNetworkWithLayerNorm", "weight", "repair", "layer", {.name = "resnet20", .width = 0.5, .norm = models::Norm::kLayer}}};
INSTANTIATE_TEST_SUITE_P(Networks, MergedFile, testing::ValuesIn(kCases), [](const auto& info) { return info.param.title; });

}  // namespace
}  // namespace basin
