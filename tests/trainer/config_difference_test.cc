#include "trainer/config/difference.h"

#include <gmock/gmock.h>

#include "trainer/config/config.h"

namespace basin::trainer {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::string Yaml(const std::vector<std::string>& set = {}) { return ComparableYaml(ParseRunConfig("", "a.yaml", ".", set)); }

TEST(ConfigDifference, NamesEachKeyWithBothValues) {
  EXPECT_THAT(DescribeDifferences(Yaml(), Yaml({"train.optimizer.lr=0.25", "run.seed=7"})),
              ElementsAre("run.seed: 1 in the checkpoint, 7 here", "train.optimizer.lr: 0.1 in the checkpoint, 0.25 here"));
}

TEST(ConfigDifference, NamesKeysThatOneSideLacks) {
  const auto lines = DescribeDifferences(Yaml({"strategy={name: sparta}"}), Yaml({"strategy={name: independent}"}));
  EXPECT_THAT(lines, ::testing::Contains("strategy.name: sparta in the checkpoint, independent here"));
  EXPECT_THAT(lines, ::testing::Contains("strategy.law: constant in the checkpoint, absent here"));
}

TEST(ConfigDifference, LooksIntoLists) {
  EXPECT_THAT(DescribeDifferences(Yaml({"data.augment=[flip]"}), Yaml()),
              ::testing::Contains("data.augment: absent in the checkpoint, [] here"));
}

TEST(ConfigDifference, OfWhatARunMayChangeIsNone) {
  EXPECT_THAT(DescribeDifferences(Yaml(), Yaml({"run.name=b", "run.dir=c", "comm.timeout_s=3", "checkpoint.every_steps=9",
                                                "checkpoint.keep=7", "coordinator.heartbeat_s=1", "report.progress=off"})),
              IsEmpty());
}

}  // namespace
}  // namespace basin::trainer
