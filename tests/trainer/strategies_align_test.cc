#include "trainer/strategies/align.h"

#include <gtest/gtest.h>

#include "tests/support/strategy_trial.h"

namespace basin::trainer {
namespace {

using test::RunTrial;
using test::SmallShape;
using test::Trial;

/// Each acts once in two epochs of one step.
std::vector<StrategyOptions> Averaging(Align align) {
  return {PapaAllOptions{.every_epochs = 1, .renorm = Renorm::kNone, .align = align},
          Papa2Options{.every_epochs = 1, .renorm = Renorm::kNone, .align = align},
          DartOptions{.from_epoch = 1, .every_epochs = 9, .align = align},
          LocalSgdOptions{.align = align, .when = {.every_steps = 2}}};
}

TEST(Aligning, FitsAllOthersToMember0BeforeTheMeanIsTaken) {
  const auto shape = SmallShape(3, 2);
  const auto start = test::RandomMembers(shape);
  auto turned = test::Clone(start);  // as RecordingAligner does
  for (size_t rank = 1; rank < turned.size(); ++rank) turned[rank].weights = turned[rank].weights.flip(0);
  const auto aligned = Averaging(Align::kWeight), plain = Averaging(Align::kNone);
  for (size_t k = 0; k < aligned.size(); ++k) {
    const Trial trial = RunTrial(aligned[k], shape, start), expected = RunTrial(plain[k], shape, turned);
    EXPECT_TRUE(trial.references[0].empty());
    for (int rank = 0; rank < 3; ++rank) {
      EXPECT_TRUE(torch::equal(trial.members[rank].weights, expected.members[rank].weights)) << StrategyName(aligned[k]);
      if (rank == 0) continue;
      ASSERT_EQ(trial.references[rank].size(), 1u);
      EXPECT_TRUE(torch::equal(trial.references[rank][0], start[0].weights));
    }
  }
}

TEST(Aligning, SendsMember0sWeightsOnceToEachOfTheOthers) {
  for (const int members : {1, 2, 5}) {
    const auto shape = SmallShape(members, 2);
    for (const StrategyOptions& options : Averaging(Align::kWeight)) {
      if (std::holds_alternative<Papa2Options>(options)) continue;  // draws its pairs
      test::ExpectExactForecast(RunTrial(options, shape, test::RandomMembers(shape)));
    }
  }
}

}  // namespace
}  // namespace basin::trainer
