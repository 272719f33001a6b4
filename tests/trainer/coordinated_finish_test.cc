// What ranks do through the coordinator equals what they do among themselves, bit for bit.
#include "trainer/coordinated_finish.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cmath>

#include "comm/in_process.h"
#include "data/registry.h"
#include "merge/average.h"
#include "trainer/population.h"

namespace basin::trainer {
namespace {

bool Same(const models::StateDict& a, const models::StateDict& b) {
  if (a.size() != b.size()) return false;
  for (const auto& [name, tensor] : a) {
    const torch::Tensor* other = models::FindTensor(b, name);
    if (other == nullptr || !torch::equal(tensor, *other)) return false;
  }
  return true;
}

class CoordinatedFinishTest : public ::testing::Test {
 protected:
  using Body = std::function<void(const RankContext&, Member&)>;

  /// Three members of a narrow convnet with batch norm, from different initial weights, each a thread with a place in one control plane.
  void OnThreeRanks(const Body& body, const std::string& address = "embedded") {
    RunConfig config = ParseRunConfig(
        "{population: {members: 3, init: different}, model: {name: convnet, width: 0.25}, data: {train_limit: 100, test_limit: 20}}",
        "a.yaml", "/");
    config.coordinator.address = address;
    const auto dataset = data::LoadDataset(config.data);
    const base::SystemClock clock;
    comm::RunInProcess(3, [&](comm::Communicator& comm) {
      at::set_num_threads(1);
      Member member(config, *dataset, comm.rank(), torch::kCPU);
      const auto control = Control::Make({.config = config, .run_dir = folder_.path()}, comm);
      body({.config = config, .dataset = *dataset, .comm = comm, .clock = clock, .control = control.get()}, member);
      control->Leave(coordinator::LeaveKind::kDone, "finished");
      comm.Barrier();
    });
  }

  base::TemporaryFolder folder_;
};

TEST_F(CoordinatedFinishTest, BringsEveryNetworkToEveryRankAndIntoTheRunDirectory) {
  OnThreeRanks([&](const RankContext& context, Member& member) {
    const auto finish = CoordinatedFinish::Begin(context, member);
    ASSERT_NE(finish, nullptr);
    const auto fetched = finish->FetchNetworks(), gathered = GatherPopulation(member, context.comm);
    ASSERT_EQ(fetched.size(), 3u);
    for (int m = 0; m < 3; ++m) {
      EXPECT_TRUE(Same(fetched[m], gathered[m])) << "member " << m;
      EXPECT_TRUE(Same(models::ReadState(folder_.path() / MemberFile(m)), gathered[m])) << "member " << m;
    }
  });
}

TEST_F(CoordinatedFinishTest, AveragesToTheBitsThatOneProcessDoes) {
  OnThreeRanks([&](const RankContext& context, Member& member) {
    const auto finish = CoordinatedFinish::Begin(context, member);
    const auto networks = finish->FetchNetworks();
    if (context.comm.rank() != 1) return;
    const models::StateDict average = finish->Average(folder_.path(), "average_raw.safetensors");
    EXPECT_TRUE(Same(average, merge::AverageStates(networks)));
    EXPECT_TRUE(Same(average, models::ReadState(folder_.path() / "average_raw.safetensors")));
  });
}

TEST_F(CoordinatedFinishTest, HasEveryTaskDoneByThoseThatAreThere) {
  std::atomic<int> done{0};
  OnThreeRanks([&](const RankContext& context, Member& member) {
    const auto finish = CoordinatedFinish::Begin(context, member);
    const auto square = [&](int64_t task) {
      ++done;
      return std::vector<double>{static_cast<double>(task * task), 0.1 * static_cast<double>(task)};
    };
    const auto results = finish->Share()(10, 2, square);
    ASSERT_EQ(results.size(), 10u);
    for (int64_t t = 0; t < 10; ++t) EXPECT_EQ(results[t], (std::vector<double>{static_cast<double>(t * t), 0.1 * static_cast<double>(t)}));
  });
  EXPECT_EQ(done, 10) << "nobody was late";
}

TEST_F(CoordinatedFinishTest, IsNotForWeightsThatAreNotFinite) {
  OnThreeRanks([&](const RankContext& context, Member& member) {
    if (context.comm.rank() == 2) member.params().values().detach()[5] = std::nan("");
    EXPECT_EQ(CoordinatedFinish::Begin(context, member), nullptr);
  });
}

TEST_F(CoordinatedFinishTest, IsNotWithACoordinatorThatKeepsNoFiles) {
  const base::SystemClock clock;
  const coordinator::Server server({}, clock);
  OnThreeRanks([&](const RankContext& context, Member& member) { EXPECT_EQ(CoordinatedFinish::Begin(context, member), nullptr); },
               server.address());
}

TEST_F(CoordinatedFinishTest, BringsTheAverageFromACoordinatorWithAFolderOfItsOwn) {
  const base::SystemClock clock;
  const base::TemporaryFolder elsewhere;
  const coordinator::Server server({.folder = elsewhere.path()}, clock);
  OnThreeRanks(
      [&](const RankContext& context, Member& member) {
        const auto finish = CoordinatedFinish::Begin(context, member);
        ASSERT_NE(finish, nullptr);
        EXPECT_FALSE(finish->publishes());
        if (context.comm.rank() == 0) {
          const models::StateDict average = finish->Average(folder_.path(), "mean.safetensors");
          for (const auto& folder : {folder_.path(), elsewhere.path()})
            EXPECT_TRUE(Same(average, models::ReadState(folder / "mean.safetensors"))) << folder;
        }
        EXPECT_FALSE(std::filesystem::exists(folder_.path() / MemberFile(0)));
      },
      server.address());
}

TEST_F(CoordinatedFinishTest, NeedsACoordinator) {
  OnThreeRanks([&](const RankContext& context, Member& member) {
    RankContext alone = context;
    alone.control = nullptr;
    EXPECT_EQ(CoordinatedFinish::Begin(alone, member), nullptr);
  });
}

}  // namespace
}  // namespace basin::trainer
