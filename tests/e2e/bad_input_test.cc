// Bad configurations and bad data files end with a clear message and the right exit code, and leave nothing behind.
#include <gtest/gtest.h>

#include "base/files.h"
#include "tests/support/command.h"

namespace basin {
namespace {

using test::CommandResult;
using test::Program;

/// A configuration (YAML) that must be refused, and what the message must say.
struct BadConfig {
  const char* name;
  const char* yaml;
  int exit_code;
  std::vector<const char*> said;
};

const std::vector<BadConfig> kBadConfigs{
    {"AnUnknownKey", "train: {epoch: 3}", 2, {"train.epoch", "did you mean", "epochs"}},
    {"AnUnknownSection", "trian: {epochs: 3}", 2, {"trian", "train"}},
    {"AnUnknownStrategy", "strategy: {name: wsah}", 2, {"wsah", "wash"}},
    {"AKeyOfAnotherStrategy", "strategy: {name: wash, alpha: 0.9}", 2, {"alpha", "papa"}},
    {"AShareOutsideZeroToOne", "strategy: {name: wash, p: 1.5}", 2, {"strategy.p", "1.5"}},
    {"ANegativeLearningRate", "train: {optimizer: {lr: -0.1}}", 2, {"lr", "-0.1"}},
    {"ALearningRateThatIsNoNumber", "train: {optimizer: {lr: .nan}}", 2, {"lr"}},
    {"AWordWhereANumberBelongs", "train: {batch_size: many}", 2, {"batch_size", "many"}},
    {"AStartBehindTheStop", "strategy: {name: wash, start: 0.8, stop: 0.2}", 2, {"start", "stop"}},
    {"StepsBesideEpochs", "train: {steps: 5, epochs: 2}", 2, {"steps", "epochs"}},
    {"NoMembers", "population: {members: 0}", 2, {"members"}},
    {"AnOverrideOfNobody", "population: {members: 2, overrides: [{member: 7, train: {label_smoothing: 0.1}}]}", 2, {"7"}},
    {"AnUnknownModel", "model: {name: resnet21}", 2, {"resnet21", "resnet20"}},
    {"AnUnknownDataSet", "data: {name: cifar11}", 2, {"cifar11", "cifar10"}},
    {"ADataSetWithoutItsPath", "data: {name: mnist}", 2, {"path"}},
    {"ABatchLargerThanTheData", "{data: {train_limit: 50}, train: {batch_size: 64, steps: 1}, model: {name: mlp}}", 2, {"batch_size", "64"}},
    {"ImagesTooSmallForTheNetwork", "{model: {name: vgg11}, train: {steps: 1}}", 2, {"vgg11", "32"}},
    {"BrokenYaml", "train: {epochs: 3", 2, {"config.yaml"}},
    {"AListWhereAMapBelongs", "train: [1, 2]", 2, {"train"}},
    {"AKeyGivenTwice", "run: {seed: 1, seed: 2}", 2, {"seed"}},
    {"TooFewPointsOnALine", "lmc: {points: 1}", 2, {"points"}},
    {"AMissingFolderOfData", "{data: {name: mnist, path: nowhere}, model: {name: mlp}}", 3, {"nowhere"}},
    {"AFileOfDataThatIsEmpty", "{data: {name: cifar10, path: empty-cifar}, model: {name: mlp}}", 3, {"data_batch_1.bin"}},
    {"AFileOfDataThatIsCutShort", "{data: {name: cifar10, path: short-cifar}, model: {name: mlp}}", 3, {"3073"}},
    {"ALabelOutOfRange", "{data: {name: cifar10, path: label-cifar}, model: {name: mlp}}", 3, {"label"}},
    {"AFileWithAnotherMagicNumber", "{data: {name: mnist, path: magic-idx}, model: {name: mlp}}", 3, {"magic"}},
};

class BadInput : public testing::TestWithParam<BadConfig> {
 protected:
  BadInput() {
    const std::string record(3073, '\1');
    Write("empty-cifar/data_batch_1.bin", "");
    Write("empty-cifar/test_batch.bin", record);
    Write("short-cifar/data_batch_1.bin", record + std::string(100, '\0'));
    Write("short-cifar/test_batch.bin", record);
    Write("label-cifar/data_batch_1.bin", "\x0b" + std::string(3072, '\1'));
    Write("label-cifar/test_batch.bin", record);
    for (const char* file : {"train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"}) {
      Write(std::string("magic-idx/") + file, std::string(64, '\7'));
    }
  }
  void Write(const std::string& name, const std::string& content) const { base::WriteFileAtomically(folder_.path() / name, content); }
  std::string Path(const std::string& name) const { return (folder_.path() / name).string(); }

 private:
  base::TemporaryFolder folder_;
};

TEST_P(BadInput, IsRefusedWithAClearMessage) {
  Write("config.yaml", GetParam().yaml);
  for (const char* command : {"check", "train"}) {
    std::vector<std::string> words{Program("basin"), command, Path("config.yaml")};
    if (command == std::string("train")) words.insert(words.end(), {"--run-dir", Path("run")});
    const CommandResult result = test::RunCommand(words, {.deadline_s = 30});
    EXPECT_EQ(result.exit_code, GetParam().exit_code) << command << ": " << result.err;
    for (const char* fragment : GetParam().said) EXPECT_NE(result.err.find(fragment), std::string::npos) << fragment << "\n" << result.err;
    EXPECT_FALSE(std::filesystem::exists(Path("run"))) << "a run directory was left behind";
  }
}

INSTANTIATE_TEST_SUITE_P(Configuration, BadInput, testing::ValuesIn(kBadConfigs),
                         [](const auto& param) { return std::string(param.param.name); });

class BadModel : public testing::Test {
 protected:
  std::string Path(const std::string& name) const { return (folder_.path() / name).string(); }
  CommandResult Eval(const std::string& model) const {
    return test::RunCommand({Program("basin"), "eval", std::string(BASIN_SOURCE_DIR) + "/configs/smoke.yaml", model}, {.deadline_s = 60});
  }

 private:
  base::TemporaryFolder folder_;
};

TEST_F(BadModel, ThatIsMissingIsNamed) {
  const CommandResult result = Eval(Path("missing.safetensors"));
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_NE(result.err.find("missing.safetensors"), std::string::npos) << result.err;
}

TEST_F(BadModel, ThatIsNoSafetensorsFileIsRefused) {
  base::WriteFileAtomically(Path("text.safetensors"), "this is a text, and a long one, but no tensor");
  const CommandResult result = Eval(Path("text.safetensors"));
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_NE(result.err.find("header"), std::string::npos) << result.err;
}

TEST_F(BadModel, OfAnotherNetworkIsRefusedWithTheNamesThatDiffer) {
  const std::string config = std::string(BASIN_SOURCE_DIR) + "/configs/smoke.yaml";
  ASSERT_EQ(test::RunCommand({Program("basin"), "train", config, "--quiet", "--run-dir", Path("run"), "--set", "train.steps=1"}).exit_code, 0);
  const CommandResult result = test::RunCommand({Program("basin"), "eval", config, Path("run/members/000.safetensors"), "--set",
                                                 "model={name: mlp}"});
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_NE(result.err.find("layers.0.weight"), std::string::npos) << result.err;
}

TEST_F(BadModel, AMissingConfigurationIsAConfigurationError) {
  const CommandResult result = test::RunCommand({Program("basin"), "check", Path("nowhere.yaml")});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_NE(result.err.find("nowhere.yaml"), std::string::npos) << result.err;
}

TEST_F(BadModel, AWrongNumberOfProcessesIsToldOnceWithTheWayOut) {
  const CommandResult result = test::RunUnderMpi(
      3, {Program("basin"), "train", std::string(BASIN_SOURCE_DIR) + "/configs/smoke.yaml", "--run-dir", Path("run")});
  EXPECT_EQ(result.exit_code, 2) << result.err;
  EXPECT_NE(result.err.find("mpirun -n 2"), std::string::npos) << result.err;
  EXPECT_FALSE(std::filesystem::exists(Path("run")));
}

}  // namespace
}  // namespace basin
