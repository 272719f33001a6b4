// The files in configs/: all valid, and reference.yaml complete.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <regex>
#include <set>
#include <sstream>

#include "base/error.h"
#include "base/files.h"
#include "tests/support/config_texts.h"
#include "trainer/config/config.h"
#include "trainer/sweep/plan.h"

namespace basin::trainer {
namespace {

using ::testing::HasSubstr;

const std::filesystem::path kConfigs = std::filesystem::path(BASIN_SOURCE_DIR) / "configs";

TEST(Config, EveryFileInConfigsIsValid) {
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(kConfigs)) {
    if (entry.path().extension() != ".yaml") continue;
    ++files;
    const bool is_sweep = entry.path().filename().string().starts_with("sweep-");
    EXPECT_NO_THROW(is_sweep ? void(ReadSweep(entry.path())) : void(ReadRunConfig(entry.path()))) << entry.path();
  }
  EXPECT_GE(files, 18);
}

TEST(Config, AMissingFileIsNamed) {
  EXPECT_THAT([] { ReadRunConfig("/nowhere/a.yaml"); }, ::testing::ThrowsMessage<ConfigError>(HasSubstr("/nowhere/a.yaml")));
}

TEST(Config, AnEmptyFileIsRefused) {
  const base::TemporaryFolder folder;
  for (const std::string text : {"", " \n\n", "# train: {steps: 3}\n", "---\n# later\n", "null\n", "~"}) {
    base::WriteFileAtomically(folder.path() / "empty.yaml", text);
    EXPECT_THAT([&] { ReadRunConfig(folder.path() / "empty.yaml"); },
                ::testing::ThrowsMessage<ConfigError>(HasSubstr("empty.yaml: the file is empty")))
        << text;
  }
  base::WriteFileAtomically(folder.path() / "defaults.yaml", "{}\n");
  EXPECT_NO_THROW(ReadRunConfig(folder.path() / "defaults.yaml"));
}

TEST(Recipes, CoverEveryDataSetAndMethod) {
  const std::vector<std::pair<std::string, std::string>> methods{
      {"independent", "independent"}, {"wash", "wash"}, {"wash-opt", "wash"}, {"papa", "papa"}, {"dart", "dart"}};
  for (const std::string data : {"fashion-mnist", "cifar10-subset", "cifar100"}) {
    for (const auto& [suffix, strategy] : methods) {
      const RunConfig config = ReadRunConfig(kConfigs / (data + "-" + suffix + ".yaml"));
      EXPECT_EQ(config.name, data + "-" + suffix);
      EXPECT_EQ(StrategyName(config.strategy), strategy) << config.name;
      const auto* wash = std::get_if<WashOptions>(&config.strategy);
      EXPECT_EQ(wash != nullptr && wash->optimizer_state, suffix == "wash-opt") << config.name;
      EXPECT_EQ(config.augment_pool.has_value(), data == "cifar100" || suffix == "dart") << config.name;
    }
  }
}

TEST(Recipes, OfCifar100AreThePublishedOneOfPapa) {
  // arXiv 2304.03094 and its code.
  for (const std::string suffix : {"independent", "wash", "wash-opt", "papa", "dart"}) {
    const RunConfig config = ReadRunConfig(kConfigs / ("cifar100-" + suffix + ".yaml"));
    EXPECT_EQ(config.train.epochs, 300);
    EXPECT_EQ(config.train.batch_size, 64);
    const OptimizerOptions& sgd = config.train.optimizer;
    EXPECT_EQ(sgd.kind, OptimizerOptions::Kind::kSgd);
    EXPECT_EQ(std::tuple(sgd.lr, sgd.momentum, sgd.nesterov, sgd.weight_decay), std::tuple(0.1, 0.9, false, 1e-4));
    EXPECT_EQ(config.train.schedule.kind, ScheduleOptions::Kind::kCosine);
    EXPECT_EQ(config.train.schedule.warmup_steps, 0);
    EXPECT_EQ(config.train.schedule.final_lr, 1e-4);
    EXPECT_EQ(config.data.validation, 0.02);
    EXPECT_EQ(config.augment.size(), 2u);  // flip and crop
    EXPECT_EQ(config.augment_pool->mixup, (std::vector<double>{0, 0.5, 1}));
    EXPECT_EQ(config.augment_pool->label_smoothing, (std::vector<double>{0, 0.05, 0.1}));
    EXPECT_EQ(config.augment_pool->cutmix, (std::vector<double>{0, 0.5, 1}));
    EXPECT_EQ(config.augment_pool->random_erasing, (std::vector<double>{0, 0.15, 0.35}));
  }
}

/// The "# or key: value" lines of reference.yaml as KEY=VALUE.
std::vector<std::string> Alternatives(const std::string& reference) {
  std::vector<std::string> alternatives;
  std::istringstream lines(reference);
  std::string section;
  for (std::string line; std::getline(lines, line);) {
    std::smatch match;
    if (std::regex_search(line, match, std::regex("^([a-z]+):"))) section = match[1].str() + ".";
    if (!std::regex_search(line, match, std::regex("^( *)# or ([a-z_]+): (.*)"))) continue;
    alternatives.push_back((match[1].length() > 0 ? section : "") + match[2].str() + "=" + match[3].str());
  }
  return alternatives;
}

TEST(ReferenceConfig, HoldsTheDefaults) { EXPECT_EQ(ToYaml(ReadRunConfig(kConfigs / "reference.yaml")), testing::kDefaultYaml); }

std::set<std::string> KeysIn(const std::string& yaml) {
  static const std::regex kKey("[a-z_0-9]+(?=:)");
  return {std::sregex_token_iterator(yaml.begin(), yaml.end(), kKey), std::sregex_token_iterator()};
}

TEST(ReferenceConfig, OffersOnlyValidAlternativesAndNamesEveryKey) {
  const std::string reference = base::ReadFile(kConfigs / "reference.yaml");
  const std::set<std::string> explained = KeysIn(reference);
  std::vector<std::string> alternatives = Alternatives(reference);
  ASSERT_GE(alternatives.size(), 20u);
  alternatives.push_back("run.seed=1");
  for (const std::string& change : alternatives) {
    RunConfig config;
    ASSERT_NO_THROW(config = ReadRunConfig(kConfigs / "reference.yaml", {change})) << change;
    for (const std::string& key : KeysIn(ToYaml(config))) {
      EXPECT_TRUE(explained.contains(key)) << key << " is missing in reference.yaml";
    }
  }
}

TEST(ReferenceConfig, ShowsEveryStrategyThatExists) {
  const std::string reference = base::ReadFile(kConfigs / "reference.yaml");
  for (const char* name : {"independent", "papa", "papa-all", "papa-2", "dart", "local-sgd", "diloco", "sparta", "gossip"}) {
    EXPECT_THAT(reference, HasSubstr(std::string("# or strategy: {name: ") + name));
  }
}

}  // namespace
}  // namespace basin::trainer
