#include "trainer/finish.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/files.h"
#include "comm/in_process.h"
#include "data/registry.h"

namespace basin::trainer {
namespace {

using namespace std::chrono_literals;

/// Two untrained members that meet at the end of a run; the clock stands still, so a wait may take
/// `timeout` and no more.
base::Json FinishOfTwo(const std::string& yaml, const std::filesystem::path& run_dir,
                       std::chrono::milliseconds timeout) {
  RunConfig config = ParseRunConfig(yaml, "a.yaml", "/");
  config.comm.timeout = timeout;
  const auto dataset = data::LoadDataset(config.data);
  const base::ManualClock clock;
  base::Json result;
  comm::RunInProcess(
      2,
      [&](comm::Communicator& comm) {
        at::set_num_threads(1);
        Member member(config, *dataset, comm.rank(), torch::kCPU);
        const RankContext context{.config = config,
                                  .dataset = *dataset,
                                  .comm = comm,
                                  .clock = clock};
        const base::Json own = Finish(context, member, {}, {.run_dir = run_dir, .steps = 1});
        if (comm.rank() == 0) result = own;
      },
      timeout);
  return result;
}

TEST(Finish, WritesTheFieldsOfTheContract) {
  const base::TemporaryFolder folder;
  const base::Json result = FinishOfTwo(
      "{population: {members: 2, init: different}, model: {name: convnet, width: 0.25}, data: "
      "{train_limit: 100, test_limit: 20},"
      " evaluate: {batch_size: 50}, lmc: {points: 3}}",
      folder.path(), 60s);
  EXPECT_EQ(result, base::ReadJson(folder.path() / "result.json"));
  const std::map<std::string, std::vector<std::string>> fields{
      {"mean_member", {"test_accuracy", "test_loss"}},
      {"ensemble", {"test_accuracy", "test_loss"}},
      {"average", {"test_accuracy", "test_loss", "recalibrated"}},
      {"average_raw", {"test_accuracy", "test_loss"}},
      {"soup", {"test_accuracy", "chosen"}},
      {"distance", {"consensus_squared"}},
      {"bytes", {"payload_per_rank", "predicted_per_rank", "messages_per_rank", "exchanges"}},
      {"seconds", {"train", "exchange", "evaluate", "total"}}};
  for (const auto& [section, keys] : fields) {
    for (const std::string& key : keys)
      EXPECT_TRUE(result.at(section).contains(key)) << section << "." << key;
  }
  for (const char* key :
       {"format", "config_hash", "seed", "members", "strategy", "backend", "steps"}) {
    EXPECT_TRUE(result.contains(key)) << key;
  }
  ASSERT_EQ(result["member"].size(), 2u);
  for (const char* key : {"id", "test_loss", "test_accuracy", "weights_hash"})
    EXPECT_TRUE(result["member"][1].contains(key)) << key;
  EXPECT_EQ(result["lmc"].size(),
            2u * 2);  // one pair: train and test, statistics as they are and recomputed
  for (const char* key :
       {"a", "b", "split", "renorm", "barrier_max_mean", "barrier_linear", "barrier_mid"}) {
    EXPECT_TRUE(result["lmc"][0].contains(key)) << key;
  }
}

TEST(Finish, LetsTheOthersWaitForRankZeroAsLongAsItGoesOn) {
  // Rank 0 alone recomputes the statistics of the average and of three soups, 400 batches of two
  // images each: longer in all than the deadline, and far shorter for each.
  const base::TemporaryFolder folder;
  const base::Json result = FinishOfTwo(
      "{population: {members: 2}, model: {name: convnet, width: 0.25}, data: {test_limit: 1, "
      "validation: 0.05},"
      " evaluate: {batch_size: 2, recalibrate_batches: 400}, lmc: {pairs: none}}",
      folder.path(), 500ms);
  EXPECT_TRUE(result["soup"].is_object());
}

}  // namespace
}  // namespace basin::trainer
