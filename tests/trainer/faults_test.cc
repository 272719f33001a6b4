#include "trainer/faults.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <csignal>

#include "base/error.h"
#include "base/files.h"
#include "tests/support/message_of.h"
#include "trainer/config/config.h"

namespace basin::trainer {
namespace {

using testing::HasSubstr;

std::vector<FaultOptions> Parse(const std::string& faults) {
  return ParseRunConfig("data: {name: shapes}\nfaults: " + faults, "test", "/").faults;
}

std::string ProblemWith(const std::string& faults) {
  return test::MessageOf<ConfigError>([&] { Parse(faults); });
}

TEST(Faults, StrikeTheirMemberAtTheirStepAndOperationOnce) {
  Faults faults(Parse("[{member: 1, step: 4, operation: step, action: fail}]"), 1);
  faults.Strike("step", 3);
  faults.Strike("exchange", 4);
  EXPECT_THROW(faults.Strike("step", 4), DataError);
  faults.Strike("step", 4);
  Faults of_another(Parse("[{member: 1, step: 4, operation: step, action: fail}]"), 0);
  of_another.Strike("step", 4);
}

TEST(Faults, StrikeTheFinishWhateverItsStep) {
  Faults faults(Parse("[{operation: finish, action: fail}]"), 0);
  EXPECT_THROW(faults.Strike("finish", 300), DataError);
}

TEST(Faults, DropKeepsTheHeartbeatsBackForItsSeconds) {
  Faults faults(Parse("[{step: 2, action: drop, seconds: 0.001}]"), 0);
  double muted = 0;
  faults.SetMute([&](double seconds) { muted = seconds; });
  faults.Strike("exchange", 1);
  EXPECT_EQ(muted, 0);
  faults.Strike("exchange", 2);
  EXPECT_EQ(muted, 0.001);
}

TEST(FaultsDeathTest, KillTheProcess) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  Faults faults(Parse("[{step: 2}]"), 0);
  EXPECT_EXIT(faults.Strike("exchange", 2), testing::KilledBySignal(SIGKILL), "fault on purpose: member 0, step 2, exchange");
}

TEST(Faults, SpoilOneBitOfAFile) {
  const base::TemporaryFolder folder;
  const auto path = folder.path() / "file";
  const std::string whole(1001, 'x');
  base::WriteFileAtomically(path, whole);
  Faults faults(Parse("[{step: 20, operation: checkpoint, action: corrupt}]"), 0);
  faults.Spoil(path, 10);
  EXPECT_EQ(base::ReadFile(path), whole);
  faults.Spoil(path, 20);
  const std::string spoilt = base::ReadFile(path);
  ASSERT_EQ(spoilt.size(), whole.size());
  int bits = 0;
  for (size_t k = 0; k < whole.size(); ++k) bits += std::popcount(static_cast<unsigned char>(whole[k] ^ spoilt[k]));
  EXPECT_EQ(bits, 1);
}

TEST(Faults, AreRefusedWhenTheyMeanNothing) {
  EXPECT_THAT(ProblemWith("kill"), HasSubstr("is not a list"));
  EXPECT_THAT(ProblemWith("[{action: kil}]"), HasSubstr("did you mean 'kill'?"));
  EXPECT_THAT(ProblemWith("[{operation: pause}]"), HasSubstr("step, exchange, evaluation, checkpoint, finish"));
  EXPECT_THAT(ProblemWith("[{action: corrupt}]"), HasSubstr("operation: checkpoint"));
  EXPECT_THAT(ProblemWith("[{step: -1}]"), HasSubstr("faults[0].step"));
}

TEST(Faults, ChangeNoWeightSoTheyDoNotCountForTheHash) {
  const std::string text = "data: {name: shapes}\n";
  EXPECT_EQ(ConfigHash(ParseRunConfig(text, "a", "/")), ConfigHash(ParseRunConfig(text + "faults: [{step: 3}]", "b", "/")));
}

}  // namespace
}  // namespace basin::trainer
