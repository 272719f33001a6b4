// What ToYaml and ConfigHash say of a configuration.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <regex>

#include "tests/support/config_texts.h"
#include "trainer/config/config.h"

namespace basin::trainer {
namespace {

using ::testing::HasSubstr;
using testing::kContractYaml;
using testing::kDefaultYaml;

RunConfig Parse(const std::string& text, const std::vector<std::string>& set = {}) {
  return ParseRunConfig(text, "a.yaml", "/folder", set);
}

TEST(Config, AnEmptyFileMeansTheDefaultsOfTheContract) { EXPECT_EQ(ToYaml(Parse("")), kDefaultYaml); }

TEST(Config, TheExampleOfTheContractIsValidAndHoldsTheDefaults) {
  EXPECT_EQ(ToYaml(Parse(kContractYaml, {"run.name=run", "run.dir=runs/run"})), kDefaultYaml);
}

TEST(Config, TheDefaultsOfEachStrategyAreThoseOfTheContract) {
  const auto strategy = [](const std::string& name) {
    const std::string yaml = ToYaml(Parse("strategy: {name: " + name + "}"));
    const size_t begin = yaml.find("strategy:\n") + 10;
    return std::regex_replace(yaml.substr(begin, yaml.find("comm:") - begin), std::regex("\n *"), " ");
  };
  const std::string window = "start: 0.0 stop: 1.0 budget: null ";
  EXPECT_EQ(strategy("independent"), "  name: independent ema: null ");
  EXPECT_EQ(strategy("papa"), "  name: papa alpha: 0.99 every_steps: 10 couple_lr: true buffers: true " + window);
  EXPECT_EQ(strategy("papa-all"), "  name: papa-all every_epochs: 5 renorm: repair align: none ");
  EXPECT_EQ(strategy("papa-2"), "  name: papa-2 every_epochs: 5 renorm: repair align: none ");
  EXPECT_EQ(strategy("dart"), "  name: dart from_epoch: null every_epochs: 40 align: none ");
  EXPECT_EQ(strategy("local-sgd"), "  name: local-sgd every_steps: 100 post_local_from: 0 align: none " + window);
  EXPECT_EQ(strategy("diloco"), "  name: diloco every_steps: 100 outer_lr: 0.7 outer_momentum: 0.9 nesterov: true " + window);
  const std::string travel = "delay_steps: 0 correction: 1.0 payload: float32 ";
  EXPECT_EQ(strategy("sparta"), "  name: sparta p: 0.001 every_steps: 1 law: constant " + window + travel);
  EXPECT_EQ(strategy("gossip"), "  name: gossip every_steps: 10 weight: 0.5 " + window);
}

constexpr const char* kRich = R"(
run: {name: "say: \"no\"", dir: /tmp/x y, seed: 42}
population: {members: 3, overrides: [{member: 1, train: {optimizer: {name: adam, lr: 1.0e-5}, label_smoothing: 0.1}}, {member: 2, data: {augment: []}}]}
data: {name: tensors, path: here, train_limit: 5, augment: [flip, {random_erasing: {p: 0.1}}], augment_pool: {mixup: [0, 0.3333333333333333]}, normalize: {mean: [-1], std: [1.0e-7]}}
train: {steps: 12, optimizer: {lr: 3.0e+20, weight_decay: 0}, schedule: {name: linear}}
strategy: {name: papa, alpha: 0.1}
coordinator: {heartbeat_s: 0.5, timeout_s: 1.5}
report: {progress: off, html: false})";

TEST(Config, WhatIsPrintedReadsBackAsTheSameConfiguration) {
  for (const std::string text : {"", kContractYaml, kRich, "model: {name: mlp}\ntrain: {optimizer: {name: adamw, lr: 0}, schedule: {name: multistep}}"}) {
    const RunConfig config = Parse(text);
    const std::string yaml = ToYaml(config);
    const RunConfig again = ParseRunConfig(yaml, "b.yaml", "/elsewhere");
    EXPECT_EQ(ToYaml(again), yaml);
    EXPECT_EQ(ConfigHash(again), ConfigHash(config));
    EXPECT_EQ(again.dir, config.dir);
    EXPECT_EQ(again.data.path, config.data.path);
    ASSERT_EQ(again.members.size(), config.members.size());
    for (size_t m = 0; m < again.members.size(); ++m) {
      EXPECT_EQ(again.members[m].augment.size(), config.members[m].augment.size());
      EXPECT_EQ(again.members[m].train.optimizer.lr, config.members[m].train.optimizer.lr);
      EXPECT_EQ(again.members[m].train.optimizer.kind, config.members[m].train.optimizer.kind);
      EXPECT_EQ(again.members[m].train.label_smoothing, config.members[m].train.label_smoothing);
    }
  }
}

TEST(Config, TheDataPathIsPrintedAbsolute) { EXPECT_THAT(ToYaml(Parse(kRich)), HasSubstr("\n  path: /folder/here\n")); }

TEST(Config, TheHashIgnoresWhatCannotChangeTheWeightsAndNothingElse) {
  const std::string hash = ConfigHash(Parse(""));
  EXPECT_THAT(hash, ::testing::MatchesRegex("[0-9a-f]{16}"));
  EXPECT_EQ(ConfigHash(Parse("", {"run.name=y", "run.dir=z", "population.device=cpu", "comm.backend=mpi", "report.html=false",
                                  "checkpoint.every_steps=5", "coordinator.timeout_s=9"})), hash);
  for (const char* change : {"run.seed=2", "strategy.p=0.002", "train.batch_size=64", "population.members=3", "data.augment=[flip]",
                             "population.overrides=[{member: 0, train: {optimizer: {lr: 0.2}}}]"}) {
    EXPECT_NE(ConfigHash(Parse("", {change})), hash) << change;
  }
}

}  // namespace
}  // namespace basin::trainer
