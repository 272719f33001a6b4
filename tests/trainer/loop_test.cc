#include "trainer/loop.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

#include "base/files.h"
#include "comm/in_process.h"
#include "data/registry.h"

namespace basin::trainer {
namespace {

/// Notes how many steps stand in metrics.jsonl when an epoch ends.
class Reader final : public Strategy {
 public:
  explicit Reader(std::filesystem::path metrics) : metrics_(std::move(metrics)) {}
  void AfterEpoch(const EpochInfo&, MemberState&, comm::CountingCommunicator&) override {
    std::istringstream text(base::ReadFile(metrics_));
    int64_t found = 0;
    for (std::string line; std::getline(text, line);)
      found += base::Json::parse(line)["kind"] == "step";
    steps_written.push_back(found);
  }
  Forecast Predict() const override { return {}; }

  std::vector<int64_t> steps_written;

 private:
  std::filesystem::path metrics_;
};

TEST(Loop, WritesTheStepsOfAnEpochBeforeItsExchangeAndEvaluation) {
  const RunConfig config = ParseRunConfig(
      "{population: {members: 1}, model: {name: mlp, hidden: [4]}, train: {epochs: 2, batch_size: "
      "10},"
      " data: {train_limit: 40, test_limit: 10, validation: 0}}",
      "a.yaml", "/");
  const auto dataset = data::LoadDataset(config.data);
  const base::TemporaryFolder folder;
  MetricsFile metrics(folder.path() / "metrics.jsonl");
  const base::ManualClock clock;  // stands still: nothing is due
  Reader strategy(folder.path() / "metrics.jsonl");
  comm::RunInProcess(1, [&](comm::Communicator& comm) {
    Member member(config, *dataset, 0, torch::kCPU);
    comm::CountingCommunicator counting(comm, clock);
    const RankContext context{.config = config,
                              .dataset = *dataset,
                              .comm = comm,
                              .clock = clock,
                              .metrics = &metrics};
    LoopState at;
    Train(context, member, strategy, counting, at);
  });
  EXPECT_EQ(strategy.steps_written, (std::vector<int64_t>{4, 8}));
}

}  // namespace
}  // namespace basin::trainer
