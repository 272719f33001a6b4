// basin status, as a user calls it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/clock.h"
#include "base/json.h"
#include "coordinator/client.h"
#include "coordinator/server.h"
#include "tests/coordinator/certificates.h"
#include "tests/coordinator/eventually.h"
#include "tests/support/command.h"

namespace basin::coordinator {
namespace {

using test::CommandResult;
using testing::AllOf;
using testing::HasSubstr;

CommandResult AskStatus(const std::string& address, std::vector<std::string> more = {}) {
  more.insert(more.begin(), {test::Program("basin"), "status", "--coordinator", address});
  return test::RunCommand(more, {.deadline_s = 30});
}

std::vector<std::string> Files(const Tls& tls) {
  return {"--tls-cert", tls.cert, "--tls-key", tls.key, "--tls-ca", tls.ca};
}

TEST(StatusCommand, ShowsMembersAndWhoIsWaitedFor) {
  const base::SystemClock clock;
  const Server server({}, clock);
  Client client({.address = server.address(), .member = 1, .settings = {.members = 3}, .host = "host-1"});
  client.Progress({.phase = Phase::kTraining, .step = 120, .operation = "exchange wash", .steps_per_second = 52.5});
  ASSERT_TRUE(Eventually([&] { return server.status().members.at(1).step == 120; }));

  const CommandResult json = AskStatus(server.address(), {"--json"});
  ASSERT_EQ(json.exit_code, 0) << json.err;
  const base::Json status = base::Json::parse(json.out);
  EXPECT_EQ(status["waiting_for"], base::Json({0, 2}));
  EXPECT_EQ(status["members"][1]["id"], 1);
  EXPECT_EQ(status["members"][1]["state"], "training");
  EXPECT_EQ(status["members"][1]["step"], 120);
  EXPECT_TRUE(status["members"][1]["silent_s"].is_number());
  EXPECT_TRUE(status["reason"].is_string());

  const CommandResult table = AskStatus(server.address());
  EXPECT_THAT(table.out, AllOf(HasSubstr("exchange wash"), HasSubstr("52.5"), HasSubstr("host-1"),
                               HasSubstr("waiting for: member 0, 2")));
}

TEST(StatusCommand, NobodyThereEndsWithFourSoon) {
  const base::SystemClock clock;
  const base::Stopwatch watch(clock);
  const CommandResult result = AskStatus("127.0.0.1:1");
  EXPECT_EQ(result.exit_code, 4);
  EXPECT_THAT(result.err, HasSubstr("no answer from a coordinator at 127.0.0.1:1"));
  EXPECT_LT(watch.Seconds(), 15);
}

TEST(StatusCommand, AMalformedAddressEndsWithTwo) { EXPECT_EQ(AskStatus("here").exit_code, 2); }

TEST(StatusCommand, WithTlsOnlyTheRightCertificateIsAnswered) {
  if (!test::HasOpenssl()) GTEST_SKIP() << "the openssl command is not installed";
  const test::Authority ours("ours"), theirs("theirs");
  const base::SystemClock clock;
  const Server server({.tls = ours.Issue("server")}, clock);
  EXPECT_EQ(AskStatus(server.address(), Files(ours.Issue("member"))).exit_code, 0);
  EXPECT_EQ(AskStatus(server.address()).exit_code, 4);
  Tls stranger = theirs.Issue("stranger");
  stranger.ca = ours.ca();
  EXPECT_EQ(AskStatus(server.address(), Files(stranger)).exit_code, 4);
  EXPECT_EQ(AskStatus(server.address(), Files(ours.Issue("late", {.days = -1}))).exit_code, 4);
  EXPECT_EQ(AskStatus(server.address(), {"--tls-cert", ours.ca()}).exit_code, 2) << "half of the files";
}

}  // namespace
}  // namespace basin::coordinator
