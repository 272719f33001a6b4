// The checkpoint of a lost member, on the ranks that are left.
#include "trainer/checkpoint/lost_members.h"

#include <gtest/gtest.h>

#include "tests/support/small_run.h"

namespace basin::trainer {
namespace {

namespace fs = std::filesystem;

class LostMembers : public ::testing::Test {
 protected:
  void SetUp() override { trained_ = run_.Train(); }

  /// What `ranks` ranks load after member 1 was lost; only the first knows of it.
  std::vector<std::vector<LostNetwork>> Load(int ranks) const {
    std::vector<std::vector<LostNetwork>> loaded(ranks);
    comm::RunInProcess(ranks, [&](comm::Communicator& comm) {
      const auto lost = comm.rank() == 0 ? base::Json::parse(R"([{"member": 1, "step": 12}])") : base::Json::array();
      const base::SystemClock clock;
      const RankContext context{.config = run_.config, .dataset = *run_.dataset, .comm = comm, .clock = clock};
      loaded[comm.rank()] = LoadLostMembers(context, run_.dir, lost);
    });
    return loaded;
  }
  void Damage(int64_t step) const {
    fs::resize_file(run_.dir / "checkpoints" / CheckpointName(step) / RankTensorsName(1), 100);
  }

  base::TemporaryFolder folder_;
  test::SmallRun run_{folder_.path() / "run", {"checkpoint={every_steps: 4, keep: 9}"}};  // leaves 4, 8, 12
  test::SmallOutcome trained_;
};

TEST_F(LostMembers, ComeFromTheirNewestCheckpointOnEveryRank) {
  const auto loaded = Load(2);
  for (const auto& of_rank : loaded) {
    ASSERT_EQ(of_rank.size(), 1u);
    EXPECT_EQ(of_rank[0].id, 1);
    EXPECT_EQ(of_rank[0].checkpoint_step, 12);
    EXPECT_EQ(of_rank[0].weights_hash, trained_.weights[1]) << "the checkpoint of step 12 is the trained member";
  }
  for (size_t k = 0; k < loaded[0][0].network.size(); ++k) {
    const auto &one = loaded[0][0].network[k], &other = loaded[1][0].network[k];
    EXPECT_EQ(one.name, other.name);
    EXPECT_TRUE(torch::equal(one.tensor, other.tensor)) << one.name;
  }
}

TEST_F(LostMembers, ComeFromAnOlderCheckpointWhereTheNewestIsDamaged) {
  Damage(12);
  EXPECT_EQ(Load(1)[0][0].checkpoint_step, 8);
}

TEST_F(LostMembers, WithoutAWholeCheckpointAreLeftOut) {
  for (int64_t step : {4, 8, 12}) Damage(step);
  EXPECT_TRUE(Load(2)[0].empty());
  fs::remove_all(run_.dir / "checkpoints");
  EXPECT_TRUE(Load(2)[1].empty());
}

}  // namespace
}  // namespace basin::trainer
