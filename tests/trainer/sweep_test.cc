// The plan of a sweep: what its file means, and what is refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "base/error.h"
#include "base/files.h"
#include "trainer/sweep/folder.h"
#include "trainer/sweep/names.h"
#include "trainer/sweep/plan.h"

namespace basin::trainer {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::ThrowsMessage;

class Sweep : public testing::Test {
 protected:
  Sweep() {
    base::WriteFileAtomically(File("base.yaml"),
                              "population: {members: 2}\ntrain: {steps: 10}\nstrategy: {name: wash, p: 0.5, every_steps: 3}\n");
  }
  std::filesystem::path File(const std::string& name) const { return folder_.path() / name; }
  SweepPlan Read(const std::string& text, const std::vector<std::string>& set = {}) const {
    base::WriteFileAtomically(File("sweep.yaml"), text);
    return ReadSweep(File("sweep.yaml"), set);
  }
  static std::vector<std::string> Names(const SweepPlan& plan) {
    std::vector<std::string> names;
    for (const SweepRun& run : plan.runs) names.push_back(run.name);
    return names;
  }
  void ExpectRefused(const std::string& text, const std::string& why, const std::vector<std::string>& set = {}) const {
    EXPECT_THAT([&] { Read(text, set); }, ThrowsMessage<ConfigError>(HasSubstr(why))) << text;
  }
  base::TemporaryFolder folder_;
};

TEST_F(Sweep, RunsEveryCombinationWithEverySeedSeedsOutermost) {
  const SweepPlan plan =
      Read("base: base.yaml\ngrid: {strategy: [{name: wash, p: 0.1}, {name: papa}], train.optimizer.lr: [0.1, 0.2]}\nseeds: [1, 5]\n");
  EXPECT_EQ(plan.name, "sweep");
  EXPECT_THAT(Names(plan), ElementsAre("wash-p0.1-lr0.1/seed-1", "wash-p0.1-lr0.2/seed-1", "papa-lr0.1/seed-1", "papa-lr0.2/seed-1",
                                       "wash-p0.1-lr0.1/seed-5", "wash-p0.1-lr0.2/seed-5", "papa-lr0.1/seed-5", "papa-lr0.2/seed-5"));
  EXPECT_EQ(plan.runs[7].config.seed, 5u);
  EXPECT_EQ(plan.runs[7].config.train.optimizer.lr, 0.2);
  EXPECT_EQ(StrategyName(plan.runs[7].config.strategy), "papa");
  EXPECT_EQ(plan.cells[plan.runs[7].cell].group, "train.optimizer.lr=0.2 ");
}

TEST_F(Sweep, AWholeStrategyReplacesTheBasesAndKeysInItComeAfterIt) {
  const SweepPlan plan = Read("base: base.yaml\ngrid: {strategy.every_steps: [2, 4], strategy: [{name: wash, p: 0.1}]}\n");
  const auto& wash = std::get<WashOptions>(plan.runs[1].config.strategy);
  EXPECT_EQ(wash.p, 0.1);
  EXPECT_EQ(wash.when.every_steps, 4);
}

TEST_F(Sweep, TakesTheBaseInlineAndSetLaysOverIt) {
  const SweepPlan plan =
      Read("name: mine\nbase: {population: {members: 3}, train: {epochs: 2}}\nset: {train.steps: 7}\n", {"population.members=2"});
  EXPECT_EQ(plan.name, "mine");
  EXPECT_THAT(Names(plan), ElementsAre("base/seed-1"));
  EXPECT_EQ(plan.runs[0].config.train.steps, 7);
  EXPECT_EQ(plan.runs[0].config.population.members, 2);
}

TEST_F(Sweep, PathsOfTheBaseAreRelativeToIt) {
  base::WriteFileAtomically(File("deep/base.yaml"), "data: {name: mnist, path: files}\n");
  EXPECT_EQ(Read("base: deep/base.yaml\n").runs[0].config.data.path, File("deep/files"));
}

TEST_F(Sweep, TheIndependentControlDropsEveryKeyOfTheStrategy) {
  const SweepPlan plan = Read("base: base.yaml\ngrid: {strategy.p: [0.1, 0.2], train.optimizer.lr: [0.1, 0.2]}\ncontrols: [independent]\n");
  ASSERT_EQ(plan.runs.size(), 6u);
  EXPECT_EQ(plan.runs[4].name, "control-independent-lr0.1/seed-1");
  EXPECT_EQ(StrategyName(plan.runs[4].config.strategy), "independent");
  EXPECT_TRUE(plan.cells[4].is_control);
  EXPECT_EQ(plan.cells[4].group, plan.cells[0].group);
}

TEST_F(Sweep, OneLongRunIsOneMemberForAllSteps) {
  const SweepPlan plan = Read("base: base.yaml\nset: {train.schedule.warmup_steps: 3, population.members: 4}\ncontrols: [one-long-run]\n");
  const RunConfig& config = plan.runs[1].config;
  EXPECT_EQ(config.population.members, 1);
  EXPECT_EQ(config.train.steps, 40);
  EXPECT_EQ(config.members[0].train.schedule.warmup_steps, 12);
  EXPECT_EQ(ParseRunConfig(ToYaml(config), "again", ".").train.steps, 40);
}

TEST_F(Sweep, TheMovingAverageIsOneMemberWithItsOwnSteps) {
  const SweepPlan plan = Read("base: base.yaml\nset: {population.members: 4}\ncontrols: [ema]\n");
  const RunConfig& config = plan.runs[1].config;
  EXPECT_EQ(plan.cells[1].name, "control-ema");
  EXPECT_EQ(config.population.members, 1);
  EXPECT_EQ(config.train.steps, 10);
  EXPECT_EQ(std::get<IndependentOptions>(config.strategy).ema, 0.999);
}

TEST_F(Sweep, EachRunsConfigurationReadsBackAsItself) {
  for (const SweepRun& run :
       Read("base: base.yaml\ngrid: {strategy: [{name: wash}, {name: gossip}]}\nseeds: [1, 2]\ncontrols: [independent, one-long-run, ema]\n")
           .runs) {
    EXPECT_EQ(ComparableYaml(ParseRunConfig(ToYaml(run.config), "again", ".")), ComparableYaml(run.config)) << run.name;
  }
}

TEST_F(Sweep, UnknownKeysAndNamesAreRefusedWithTheNearest) {
  ExpectRefused("base: base.yaml\ngird: {}\n", "sweep.yaml:2: gird: unknown key (did you mean 'grid'?)");
  ExpectRefused("base: base.yaml\ncontrols: [indepedent]\n", "did you mean 'independent'?");
  ExpectRefused("base: base.yaml\ngrid: {strategy.pp: [1]}\n", "strategy.pp: unknown key");
  ExpectRefused("base: base.yaml\ngrid: {strategy.p: [0.1, 1.5]}\n", "sweep.yaml:2: strategy.p: 1.5");
  ExpectRefused("grid: {strategy.p: [0.1]}\n", "base: is missing");
  ExpectRefused("base: nowhere.yaml\n", "nowhere.yaml");
  ExpectRefused("- 1\n", "is no sweep");
}

TEST_F(Sweep, AnEmptyOrScalarGridEntryIsRefused) {
  ExpectRefused("base: base.yaml\ngrid: {strategy.p: 0.1}\n", "grid.strategy.p: 0.1 is not allowed; write a list");
  ExpectRefused("base: base.yaml\ngrid: {strategy.p: []}\n", "an empty list");
  ExpectRefused("base: base.yaml\nseeds: [1, 1]\n", "holds a seed twice");
}

TEST_F(Sweep, KeysThatTheSweepSetsItselfAreRefused) {
  ExpectRefused("base: base.yaml\ngrid: {run.seed: [1]}\n", "write seeds:");
  ExpectRefused("base: base.yaml\nset: {run.dir: x}\n", "run.dir: the sweep sets it itself");
  ExpectRefused("base: base.yaml\ngrid: {strategy: [{name: wash}]}\n", "would have no effect", {"strategy.p=0.1"});
}

TEST_F(Sweep, TheSameSettingTwiceIsRefused) {
  ExpectRefused("base: base.yaml\ngrid: {strategy.p: [0.1, 0.10]}\n", "is the same setting as");
}

TEST_F(Sweep, TooManyRunsAreRefusedBeforeTheyAreMade) {
  std::string list = "[0";
  for (int k = 1; k < 200; ++k) list += ", " + std::to_string(k);
  ExpectRefused("base: base.yaml\ngrid: {lmc.points: " + list + "], train.batch_size: " + list + "]}\n",
                "the grid has 40000 runs, more than 10000");
}

TEST_F(Sweep, ARunThatIsThereWithOtherValuesIsRefusedByNamingTheKeys) {
  const SweepPlan before = Read("base: base.yaml\nseeds: [1, 2]\n");
  for (const SweepRun& run : before.runs) base::WriteFileAtomically(FilesOf(File("out"), run).run_dir / "config.yaml", ToYaml(run.config));
  EXPECT_NO_THROW(RefuseOtherConfigurations(File("out"), before));
  const SweepPlan after = Read("base: base.yaml\nseeds: [1, 2]\nset: {train.batch_size: 16, report.trace: true}\n");
  EXPECT_THAT(
      [&] { RefuseOtherConfigurations(File("out"), after); },
      ThrowsMessage<ConfigError>(AllOf(HasSubstr("train.batch_size: 128 in the run that is there, 16 here (base/seed-1 and 1 more)"),
                                       testing::Not(HasSubstr("trace")))));
}

TEST(SweepNames, SayNamesAndValues) {
  Problems problems;
  const auto name = [&](const std::string& key, const std::string& yaml) { return NamePart(key, ParseYaml(yaml, "", problems)); };
  EXPECT_EQ(name("train.optimizer.lr", "0.1"), "lr0.1");
  EXPECT_EQ(name("strategy", "{p: 0.01, name: wash}"), "wash-p0.01");
  EXPECT_EQ(name("strategy.name", "wash"), "wash");
  EXPECT_EQ(name("data.augment", "[flip, {crop: {pad: 4}}]"), "augmentflip_crop-pad4");
  EXPECT_EQ(name("data.train_limit", "null"), "train_limitnull");
}

TEST(SweepNames, AreFoldersWhateverTheValues) {
  EXPECT_EQ(FolderName({}), "base");
  EXPECT_EQ(FolderName({"path/to/a b", "x"}), "path_to_a_b-x");
  EXPECT_EQ(FolderName({"..", "x"}), "_.-x");
  const std::string longer = FolderName({std::string(300, 'a')});
  EXPECT_EQ(longer.size(), 117u);
  EXPECT_NE(longer, FolderName({std::string(301, 'a')}));
}

}  // namespace
}  // namespace basin::trainer
