#include "trainer/lmc.h"

#include <gtest/gtest.h>

#include "comm/in_process.h"
#include "data/registry.h"
#include "models/registry.h"
#include "models/state_dict.h"

namespace basin::trainer {
namespace {

class Connectivity : public testing::Test {
 protected:
  static std::shared_ptr<models::Classifier> Network(uint64_t seed) {
    auto model = models::MakeModel({.name = "convnet", .width = 0.25}, {3, 20, 20}, 10);
    models::InitialiseWeights(*model, seed, 0);
    return model;
  }
  static std::vector<PairCurve> Measure(int ranks, const std::vector<models::StateDict>& networks) {
    const auto dataset = data::LoadDataset({.name = "shapes", .train_limit = 60, .test_limit = 40, .validation = 0});
    const LmcOptions options{.points = 5};
    std::vector<PairCurve> curves;
    comm::RunInProcess(ranks, [&](comm::Communicator& comm) {
      at::set_num_threads(1);
      const Bench bench{*dataset, {.batch_size = 20, .recalibrate_batches = 3}};
      auto own = MeasurePairs(networks, ChoosePairs(options.pairs, static_cast<int64_t>(networks.size())), options, bench,
                              *Network(9), ByRank(comm));
      if (comm.rank() == comm.size() - 1) curves = std::move(own);
    });
    return curves;
  }
  static models::StateDict State(uint64_t seed) { return models::CloneState(models::StateOf(*Network(seed))); }
};

TEST_F(Connectivity, OfAModelWithItselfHasBarrierZeroWhenStatisticsStay) {
  const models::StateDict a = State(1);
  for (const PairCurve& curve : Measure(1, {a, a})) {
    if (curve.renorm != "none") continue;
    EXPECT_EQ(curve.barriers.max_mean, 0);
    EXPECT_EQ(curve.barriers.linear, 0);
    EXPECT_EQ(curve.barriers.mid, 0);
  }
}

TEST_F(Connectivity, IsTheSameBitsForAnyNumberOfRanks) {
  const std::vector<models::StateDict> networks{State(1), State(2), State(3)};
  const std::string alone = CurvesAsCsv(Measure(1, networks));
  EXPECT_EQ(CurvesAsCsv(Measure(2, networks)), alone);
  EXPECT_EQ(CurvesAsCsv(Measure(5, networks)), alone);
}

TEST_F(Connectivity, HasACurveForEveryPairSplitAndTreatmentOfStatistics) {
  const auto curves = Measure(2, {State(1), State(2), State(3)});
  EXPECT_EQ(curves.size(), 3u * 2 * 2);
  for (const PairCurve& curve : curves) EXPECT_EQ(curve.points.size(), 5u);
}

TEST(ChoosePairs, OfFirstHoldsTheFirstMemberInEveryPair) {
  EXPECT_EQ(ChoosePairs(LmcOptions::Pairs::kFirst, 4).size(), 3u);
  EXPECT_EQ(ChoosePairs(LmcOptions::Pairs::kAll, 4).size(), 6u);
  EXPECT_TRUE(ChoosePairs(LmcOptions::Pairs::kNone, 4).empty());
  EXPECT_TRUE(ChoosePairs(LmcOptions::Pairs::kAll, 1).empty());
}

}  // namespace
}  // namespace basin::trainer
