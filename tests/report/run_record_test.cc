#include "report/run_record.h"

#include <gtest/gtest.h>

#include <cmath>
#include <sstream>

#include "base/error.h"
#include "tests/support/made_run.h"
#include "tests/support/message_of.h"

namespace basin::report {
namespace {

class Directory : public testing::Test {
 protected:
  std::filesystem::path dir() const { return folder_.path() / "run"; }
  void Metrics(const std::string& text) { base::WriteFileAtomically(dir() / "metrics.jsonl", text); }
  void Paths(const std::string& text) { base::WriteFileAtomically(dir() / "lmc.csv", text); }
  std::string Refusal() const {
    return test::MessageOf<DataError>([&] { ReadRun(dir()); });
  }

 private:
  base::TemporaryFolder folder_;
};

TEST_F(Directory, GivesEveryRecordToItsMember) {
  test::MadeRun{.members = 2, .steps = 20}.Write(dir());
  const RunRecord run = ReadRun(dir());
  EXPECT_EQ(run.name, "run");
  EXPECT_EQ(run.result["name"], "made");
  ASSERT_EQ(run.members.size(), 2u);
  for (const auto& [member, track] : run.members) {
    EXPECT_EQ(track.steps.step.size(), 20u);
    EXPECT_EQ(track.exchanges.bytes.size(), 20u);
    EXPECT_EQ(track.evals.step, (std::vector<double>{9, 19}));
  }
  EXPECT_EQ(run.consensus_step, (std::vector<double>{9, 19}));
  ASSERT_EQ(run.events.size(), 1u);
  EXPECT_EQ(run.events[0].fields["text"], "made");
  ASSERT_EQ(run.paths.size(), 2u);
  EXPECT_EQ(run.paths[0].lambda.size(), 11u);
  EXPECT_NEAR(run.last_time - run.first_time, 0.19, 1e-6);  // a double of 1.7e9 seconds resolves 2e-7
}

TEST_F(Directory, AgreesWithAParserOfWholeObjectsOnEveryNumber) {
  test::MadeRun{.members = 3, .steps = 50}.Write(dir());
  const RunRecord run = ReadRun(dir());
  std::istringstream text(base::ReadFile(dir() / "metrics.jsonl"));
  std::map<int64_t, size_t> steps;
  for (std::string line; std::getline(text, line);) {
    const base::Json record = base::Json::parse(line);
    if (record["kind"] != "step") continue;
    const int64_t member = record["member"].get<int64_t>();
    const auto& track = run.members.at(member).steps;
    const size_t k = steps[member]++;
    EXPECT_EQ(track.loss.at(k), record["loss"].get<double>());
    EXPECT_EQ(track.lr.at(k), record["lr"].get<double>());
  }
}

TEST_F(Directory, ALossThatIsNullIsNotANumber) {
  Metrics("{\"kind\":\"step\",\"time\":1,\"step\":0,\"epoch\":0,\"member\":0,\"lr\":0.1,\"loss\":null}\n");
  EXPECT_TRUE(std::isnan(ReadRun(dir()).members.at(0).steps.loss.at(0)));
}

TEST_F(Directory, PassesOverALastLineThatIsStillBeingWritten) {
  Metrics("{\"kind\":\"step\",\"time\":1,\"step\":0,\"epoch\":0,\"member\":0,\"lr\":0.1,\"loss\":1}\n{\"kind\":\"st");
  EXPECT_EQ(ReadRun(dir()).members.at(0).steps.loss.size(), 1u);
}

TEST_F(Directory, ARecordThatIsNoneIsRefusedWithFileAndLine) {
  Metrics("{\"kind\":\"epoch\",\"time\":1,\"step\":0,\"epoch\":0,\"member\":0}\nnonsense\n");
  EXPECT_NE(Refusal().find("metrics.jsonl:2: not a record of a run"), std::string::npos) << Refusal();
  Metrics("{\"kind\":\"step\",\"step\":-1,\"member\":0}\n");
  EXPECT_NE(Refusal().find("metrics.jsonl:1:"), std::string::npos);
  for (const char* record : {"{\"kind\":\"step\",\"step\":1}\n", "{\"kind\":\"step\",\"step\":1e300,\"member\":0}\n", "[1, 2]\n", "\n"}) {
    Metrics(record);
    EXPECT_NE(Refusal().find("metrics.jsonl:1:"), std::string::npos) << record;
  }
}

TEST_F(Directory, ALineOfAnotherTableIsRefusedWithFileAndLine) {
  Metrics("");
  Paths("a,b,lambda,split,loss,accuracy,renorm\n0,1,0,test,1,0.5,none\n0,1,x,test,1,0.5,none\n");
  EXPECT_NE(Refusal().find("lmc.csv:3:"), std::string::npos) << Refusal();
  Paths("b,a\n");
  EXPECT_NE(Refusal().find("lmc.csv:1:"), std::string::npos);
}

TEST_F(Directory, OneThatIsNoRunIsRefused) {
  std::filesystem::create_directories(dir());
  EXPECT_NE(Refusal().find("this is no run directory"), std::string::npos);
}

TEST(FolderName, IsTheLastPartWhateverTheSpelling) {
  EXPECT_EQ(FolderName("runs/a"), "a");
  EXPECT_EQ(FolderName("runs/a/"), "a");
  EXPECT_EQ(FolderName("runs/b/../a/."), "a");
  EXPECT_EQ(FolderName("."), std::filesystem::current_path().filename().string());
}

}  // namespace
}  // namespace basin::report
