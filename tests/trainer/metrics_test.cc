#include "trainer/metrics.h"

#include <gtest/gtest.h>

#include <sstream>
#include <thread>

#include "base/files.h"

namespace basin::trainer {
namespace {

using namespace std::chrono_literals;

std::vector<base::Json> Lines(const std::filesystem::path& path) {
  std::vector<base::Json> records;
  std::istringstream text(base::ReadFile(path));
  for (std::string line; std::getline(text, line);) records.push_back(base::Json::parse(line));
  return records;
}

TEST(Metrics, AStepRecordHoldsWhatTheContractNames) {
  const base::TemporaryFolder folder;
  MetricsFile file(folder.path() / "metrics.jsonl");
  base::ManualClock clock;
  {
    MetricsWriter writer(&file, 2, clock);
    writer.Step(7, 1, 0.25, torch::tensor(0.5f));
  }
  const auto records = Lines(folder.path() / "metrics.jsonl");
  ASSERT_EQ(records.size(), 1u);
  for (const char* key : {"kind", "time", "step", "epoch", "member", "lr", "loss"}) EXPECT_TRUE(records[0].contains(key)) << key;
  EXPECT_EQ(records[0]["kind"], "step");
  EXPECT_EQ(records[0]["member"], 2);
  EXPECT_EQ(records[0]["loss"], 0.5);
}

TEST(Metrics, ReachTheFileWithinASecond) {
  const base::TemporaryFolder folder;
  MetricsFile file(folder.path() / "metrics.jsonl");
  base::ManualClock clock;
  MetricsWriter writer(&file, 0, clock);
  writer.Step(0, 0, 0.1, torch::tensor(1.0f));
  EXPECT_TRUE(Lines(folder.path() / "metrics.jsonl").empty());
  clock.Advance(900ms);
  writer.Step(1, 0, 0.1, torch::tensor(1.0f));
  EXPECT_EQ(Lines(folder.path() / "metrics.jsonl").size(), 2u);
}

TEST(Metrics, TensorBoardGetsTheMembersRecordsInItsFolderAndThePopulationsInTheRuns) {
  const base::TemporaryFolder folder;
  const auto member = folder.path() / "member-0" / "events", run = folder.path() / "events";
  base::ManualClock clock;
  {
    MetricsWriter writer(nullptr, 0, clock, {std::make_unique<report::EventWriter>(member, 0), std::make_unique<report::EventWriter>(run, 0)});
    writer.Step(0, 0, 0.1, torch::tensor(1.0f));
    writer.Record("population", 0, 0, {{"consensus_squared", 2.0}});
  }
  EXPECT_NE(base::ReadFile(member).find("step/loss"), std::string::npos);
  EXPECT_EQ(base::ReadFile(member).find("population"), std::string::npos);
  EXPECT_NE(base::ReadFile(run).find("population/consensus_squared"), std::string::npos);
  EXPECT_EQ(base::ReadFile(run).find("step/loss"), std::string::npos);
}

TEST(Metrics, ADivergedLossIsNullAndTheLineStaysValidJson) {
  const base::TemporaryFolder folder;
  MetricsFile file(folder.path() / "metrics.jsonl");
  base::ManualClock clock;
  MetricsWriter(&file, 0, clock).Step(0, 0, 0.1, torch::tensor(std::numeric_limits<float>::quiet_NaN()));
  EXPECT_TRUE(Lines(folder.path() / "metrics.jsonl").at(0)["loss"].is_null());
}

TEST(Metrics, OfManyThreadsAreWholeLines) {
  const base::TemporaryFolder folder;
  MetricsFile file(folder.path() / "metrics.jsonl");
  std::vector<std::thread> members;
  for (int m = 0; m < 4; ++m) {
    members.emplace_back([&file, m] {
      base::ManualClock clock;
      MetricsWriter writer(&file, m, clock);
      for (int step = 0; step < 200; ++step) {
        clock.Advance(600ms);  // flush every record on its own
        writer.Step(step, 0, 0.1, torch::tensor(1.0f));
      }
    });
  }
  for (auto& member : members) member.join();
  EXPECT_EQ(Lines(folder.path() / "metrics.jsonl").size(), 800u);
}

}  // namespace
}  // namespace basin::trainer
