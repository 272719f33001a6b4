#include "trainer/config/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "data/registry.h"

namespace basin::trainer {
namespace {

using ::testing::DoubleEq;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

RunConfig Parse(const std::string& text, const std::vector<std::string>& set = {}) {
  return ParseRunConfig(text, "a.yaml", "/folder", set);
}

TEST(Config, ValuesReachTheirFields) {
  const RunConfig config = Parse(R"(
run: {name: x, seed: 9223372036854775807}
population: {members: 3, init: different, device: cpu, threads_per_member: 2}
data: {name: cifar10, path: ../pictures, train_limit: 7, normalize: {mean: [0.1, 0.2, 0.3], std: [1, 2, 3]}}
model: {name: mlp, hidden: [5, 6], norm: layer}
train: {steps: 3, optimizer: {name: adamw, beta2: 0.95}, schedule: {name: multistep, milestones: [0.1, 0.9], gamma: 0.5}, precision: bfloat16}
strategy: {name: dart, from_epoch: 2}
comm: {backend: in_process, timeout_s: 0.25}
lmc: {splits: [test], pairs: first})");
  EXPECT_EQ(config.dir, "runs/x");
  EXPECT_EQ(config.seed, 9223372036854775807u);
  EXPECT_EQ(config.data.seed, config.seed);
  EXPECT_EQ(config.population.members, 3);
  EXPECT_EQ(config.population.init, Init::kDifferent);
  EXPECT_EQ(config.data.path, "/pictures");
  EXPECT_THAT(config.data.normalise->std, ElementsAre(1, 2, 3));
  EXPECT_THAT(config.model.hidden, ElementsAre(5, 6));
  EXPECT_EQ(config.train.steps, 3);
  EXPECT_FALSE(config.train.epochs.has_value());
  EXPECT_EQ(config.train.optimizer.kind, OptimizerOptions::Kind::kAdamW);
  EXPECT_THAT(config.train.optimizer.lr, DoubleEq(0.001));
  EXPECT_THAT(config.train.schedule.milestones, ElementsAre(0.1, 0.9));
  EXPECT_EQ(std::get<DartOptions>(config.strategy).from_epoch, 2);
  EXPECT_EQ(config.comm.timeout, std::chrono::milliseconds(250));
  EXPECT_FALSE(config.lmc.train);
  EXPECT_EQ(config.members.size(), 3u);
}

TEST(Config, TheBoundaryValuesThatScriptsRelyOnAreValid) {
  EXPECT_EQ(Parse("train: {steps: 1, batch_size: 1, optimizer: {lr: 0}}").train.optimizer.lr, 0);
  EXPECT_EQ(Parse("strategy: {p: 0, start: 1, stop: 1}").population.members, 4);
  EXPECT_EQ(Parse("population: {members: 1}\nlmc: {points: 2}").members.size(), 1u);
  EXPECT_NO_THROW(Parse("strategy: {name: papa-all, renorm: none}\nrun: {seed: 0}\ntrain:\n"));
}

TEST(Config, AnAugmentationTakesItsDefaultsFromItsName) {
  const RunConfig config = Parse("data: {augment: [flip, {crop: {pad: 2}}, random_erasing, {mixup: {alpha: 1}}, {cutmix: }]}");
  ASSERT_EQ(config.augment.size(), 5u);
  EXPECT_EQ(std::get<data::Flip>(config.augment[0]).p, 0.5);
  EXPECT_EQ(std::get<data::Crop>(config.augment[1]).pad, 2);
  EXPECT_EQ(std::get<data::RandomErasing>(config.augment[2]).area_max, 0.33);
  EXPECT_EQ(std::get<data::Mixup>(config.augment[3]).alpha, 1);
  EXPECT_EQ(std::get<data::CutMix>(config.augment[4]).alpha, 0.5);
}

TEST(Config, EachMemberDrawsItsRegularisationFromThePool) {
  const std::string yaml = "run: {seed: 5}\npopulation: {members: 9}\ntrain: {label_smoothing: 0.3}\n"
                           "data: {augment: [flip], augment_pool: {mixup: [0, 0.5], cutmix: [0, 1], random_erasing: [0, 0.2]";
  const RunConfig config = Parse(yaml + ", label_smoothing: [0, 0.1]}}");
  for (int m = 0; m < 9; ++m) {
    const data::PoolDraw draw = data::DrawFromPool(*config.augment_pool, 5, m);
    const data::Augmentations& own = config.members[m].augment;
    EXPECT_EQ(own.size(), 1u + (draw.mixup > 0) + (draw.cutmix > 0) + (draw.random_erasing > 0));
    EXPECT_EQ(config.members[m].train.label_smoothing, draw.label_smoothing);
    for (const data::Augmentation& one : own) {
      if (const auto* mixup = std::get_if<data::Mixup>(&one)) { EXPECT_EQ(mixup->alpha, draw.mixup); }
      if (const auto* cutmix = std::get_if<data::CutMix>(&one)) { EXPECT_EQ(cutmix->alpha, draw.cutmix); }
      if (const auto* erasing = std::get_if<data::RandomErasing>(&one)) { EXPECT_EQ(erasing->p, draw.random_erasing); }
    }
  }
  EXPECT_EQ(Parse(yaml + "}}").members[0].train.label_smoothing, 0.3);
}

TEST(Config, AnOverrideIsLaidOverTheCommonSectionKeyByKey) {
  const RunConfig config = Parse(R"(
population: {members: 3, overrides: [{member: 2, train: {optimizer: {lr: 0.2}, batch_size: 16}, data: {augment: [crop]}}, {member: 0, train: {optimizer: {name: adam}}}]}
train: {optimizer: {momentum: 0.5, nesterov: true}, schedule: {warmup_steps: 7}}
data: {augment: [flip], augment_pool: {mixup: [0.5]}})");
  const MemberOptions& own = config.members[2];
  EXPECT_EQ(own.train.optimizer.lr, 0.2);
  EXPECT_EQ(own.train.optimizer.momentum, 0.5);
  EXPECT_TRUE(own.train.optimizer.nesterov);
  EXPECT_EQ(own.train.schedule.warmup_steps, 7);
  EXPECT_EQ(own.train.batch_size, 16);
  ASSERT_EQ(own.augment.size(), 1u);
  EXPECT_TRUE(std::holds_alternative<data::Crop>(own.augment[0]));
  EXPECT_EQ(config.members[0].train.optimizer.kind, OptimizerOptions::Kind::kAdam);
  EXPECT_EQ(config.members[0].train.optimizer.lr, 0.001);  // the usual rate of its own kind
  EXPECT_EQ(config.members[1].train.optimizer.lr, 0.1);
  EXPECT_EQ(config.members[1].augment.size(), 2u);
  EXPECT_THAT(config.overridden, ElementsAre(0, 2));
}

TEST(Config, SetReplacesWhatTheFileSaysAndMakesMissingSections) {
  const std::string file = "train: {epochs: 3, optimizer: {lr: 0.5}}\nstrategy: {name: wash, p: 0.5, every_steps: 3}";
  EXPECT_EQ(Parse(file, {"train.optimizer.lr=0.25"}).train.optimizer.lr, 0.25);
  EXPECT_EQ(Parse(file, {"train.optimizer={momentum: 0.1}"}).train.optimizer.lr, 0.1);
  EXPECT_EQ(Parse("", {"lmc.points=5"}).lmc.points, 5);
  EXPECT_EQ(Parse(file, {"data.augment=[flip, {crop: {pad: 3}}]"}).augment.size(), 2u);
  EXPECT_EQ(Parse(file, {"train.optimizer.lr=1", "train.optimizer.lr=2"}).train.optimizer.lr, 2);
}

TEST(Config, SetOfANamePassesOverTheKeysOfTheOldName) {
  const std::string file = "train: {epochs: 3, optimizer: {momentum: 0.5}}\nstrategy: {name: wash, p: 0.5, every_steps: 3}";
  EXPECT_TRUE(std::holds_alternative<IndependentOptions>(Parse(file, {"strategy.name=independent"}).strategy));
  EXPECT_EQ(std::get<PapaOptions>(Parse(file, {"strategy.name=papa"}).strategy).when.every_steps, 3);
  EXPECT_EQ(Parse(file, {"train.optimizer.name=adam"}).train.optimizer.lr, 0.001);
  EXPECT_THROW(Parse(file, {"strategy.name=papa", "strategy.law=linear"}), ConfigError);
}

TEST(Config, SetOfStepsReplacesTheEpochsOfTheFile) {
  const RunConfig steps = Parse("train: {epochs: 3}", {"train.steps=20"});
  EXPECT_EQ(steps.train.steps, 20);
  EXPECT_FALSE(steps.train.epochs.has_value());
  EXPECT_FALSE(Parse("train: {steps: 3}", {"train.epochs=2"}).train.steps.has_value());
  EXPECT_THROW(Parse("", {"train.epochs=2", "train.steps=20"}), ConfigError);
}

TEST(Config, ADataSetThatIsTooSmallForTheBatchIsRefused) {
  data::Dataset dataset{.name = "tiny", .classes = 2, .train = {torch::zeros({10, 3, 4, 4}), torch::zeros({10}, torch::kInt64)}};
  EXPECT_NO_THROW(CheckAgainstData(Parse("train: {batch_size: 10}"), dataset));
  const RunConfig config = Parse("train: {batch_size: 11}\npopulation: {overrides: [{member: 3, train: {batch_size: 12}}]}");
  try {
    CheckAgainstData(config, dataset);
    FAIL() << "no error";
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(), HasSubstr("a.yaml: train.batch_size: 11 is more than the 10 training examples"));
    EXPECT_THAT(error.what(), HasSubstr("member 3: train.batch_size: 12"));
  }
}

TEST(Config, AnMlpWithBatchNormNeedsBatchesOfTwo) {
  data::Dataset dataset{.name = "tiny", .classes = 2, .train = {torch::zeros({10, 3, 4, 4}), torch::zeros({10}, torch::kInt64)}};
  EXPECT_THROW(CheckAgainstData(Parse("{model: {name: mlp}, train: {batch_size: 1}}"), dataset), ConfigError);
  EXPECT_NO_THROW(CheckAgainstData(Parse("{model: {name: mlp, norm: layer}, train: {batch_size: 1}}"), dataset));
  EXPECT_NO_THROW(CheckAgainstData(Parse("{model: {name: convnet}, train: {batch_size: 1}}"), dataset));
}

}  // namespace
}  // namespace basin::trainer
