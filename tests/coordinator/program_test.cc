// basin-coordinator as a user starts it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <thread>

#include "base/clock.h"
#include "base/files.h"
#include "base/json.h"
#include "coordinator/client.h"
#include "coordinator/server.h"
#include "tests/coordinator/eventually.h"
#include "tests/support/command.h"

namespace basin::coordinator {
namespace {

using test::CommandResult;
using test::Program;
using testing::AllOf;
using testing::AnyOf;
using testing::HasSubstr;
using testing::Not;

class CoordinatorProgram : public testing::Test {
 protected:
  std::string Dir() const { return (folder_.path() / "run").string(); }
  /// The program; it gets `signal` once it has written `seen`.
  CommandResult Start(std::vector<std::string> words, int signal, const std::string& seen) const {
    words.insert(words.begin(), {Program("basin-coordinator"), "--run-dir", Dir()});
    return test::RunCommand(words, {.deadline_s = 60, .signal_when_seen = signal, .seen = seen});
  }
  static CommandResult Run(std::vector<std::string> words) {
    words.insert(words.begin(), Program("basin-coordinator"));
    return test::RunCommand(words, {.deadline_s = 20});
  }
  /// The address that a started coordinator wrote down.
  std::string Address() const {
    std::string address;
    EXPECT_TRUE(Eventually([&] {
      if (!std::filesystem::exists(folder_.path() / "run/coordinator.json")) return false;
      address = base::ReadJson(folder_.path() / "run/coordinator.json")["address"];
      return true;
    }));
    return address;
  }
  base::TemporaryFolder folder_;
};

TEST_F(CoordinatorProgram, LinksNeitherLibTorchNorCuda) {
  const CommandResult libraries = test::RunCommand({"ldd", Program("basin-coordinator")});
  ASSERT_EQ(libraries.exit_code, 0) << libraries.err;
  EXPECT_THAT(libraries.out, HasSubstr("libgrpc++"));
  for (const char* name : {"torch", "libc10", "cuda", "cudart", "nccl", "libmpi"})
    EXPECT_THAT(libraries.out, Not(HasSubstr(name)));
}

TEST_F(CoordinatorProgram, HelpNamesEveryOptionAndVersionNamesGrpc) {
  const CommandResult help = Run({"--help"});
  EXPECT_EQ(help.exit_code, 0);
  for (const char* option : {"--listen", "--run-dir", "--members", "--on-loss", "--heartbeat-s", "--timeout-s",
                             "--tls-cert", "--tls-key", "--tls-ca", "--token", "--metrics"})
    EXPECT_THAT(help.out, HasSubstr(option));
  EXPECT_THAT(Run({"--version"}).out, HasSubstr("gRPC  1."));
}

TEST_F(CoordinatorProgram, WrongUsageEndsWithTwo) {
  EXPECT_EQ(Run({"--lissten", "127.0.0.1:0"}).exit_code, 2);
  EXPECT_EQ(Run({"--listen", "nowhere"}).exit_code, 2);
  EXPECT_EQ(Run({"--on-loss", "panic"}).exit_code, 2);
  EXPECT_EQ(Run({"--heartbeat-s", "5", "--timeout-s", "3"}).exit_code, 2);
  EXPECT_EQ(Run({"--listen", "127.0.0.1:0", "--tls-cert", "/no/such.pem"}).exit_code, 2);
  EXPECT_EQ(Run({"--listen", "127.0.0.1:0", "--run-dir", "/proc/none"}).exit_code, 3);
}

TEST_F(CoordinatorProgram, SignalsEndItCleanlyAndItsAddressDoesNotStayOnFile) {
  for (const int signal : {SIGINT, SIGTERM}) {
    const CommandResult result = Start({"--listen", "127.0.0.1:0"}, signal, "listening on");
    EXPECT_EQ(result.exit_code, 130) << result.err;
    EXPECT_THAT(result.err, AllOf(HasSubstr("listening on 127.0.0.1:"), Not(HasSubstr("127.0.0.1:0 "))));
    EXPECT_FALSE(std::filesystem::exists(folder_.path() / "run/coordinator.json")) << "nobody listens there any more";
  }
}

TEST_F(CoordinatorProgram, APortInUseEndsWithTwo) {
  const base::SystemClock clock;
  const Server first({}, clock);
  const CommandResult second = Run({"--listen", first.address()});
  EXPECT_EQ(second.exit_code, 2);
  EXPECT_THAT(second.err, HasSubstr("cannot listen on " + first.address()));
}

TEST_F(CoordinatorProgram, ItEndsWithTheRunWhenAskedAndLeavesARecord) {
  std::thread member([&] {
    Client client({.address = Address(), .member = 0, .token = "t", .settings = {.members = 1}});
    client.Leave(LeaveKind::kDone, "finished");
  });
  const CommandResult result = Start({"--listen", "127.0.0.1:0", "--until-done"}, 0, "");
  member.join();
  EXPECT_EQ(result.exit_code, 0) << result.err;
  std::istringstream lines(base::ReadFile(folder_.path() / "run/coordinator.jsonl"));
  std::string line;
  std::vector<std::string> events;
  while (std::getline(lines, line)) events.push_back(base::Json::parse(line)["event"]);
  EXPECT_THAT(events, testing::ElementsAre("joined", "started", "left", "finished"));
}

TEST_F(CoordinatorProgram, KilledAndStartedAgainItFindsItsMembers) {
  std::unique_ptr<Client> client;
  std::thread member([&] {
    client = std::make_unique<Client>(ClientOptions{.address = Address(),
                                                    .member = 0,
                                                    .token = "t",
                                                    .settings = {.members = 1, .heartbeat_s = 0.2, .timeout_s = 20}});
  });
  EXPECT_EQ(Start({"--listen", "127.0.0.1:0"}, SIGKILL, "epoch 1").exit_code, 137);
  member.join();
  const CommandResult second = Start({"--listen", Address()}, SIGINT, "told it of epoch 1");
  EXPECT_EQ(second.exit_code, 130) << second.err;
  EXPECT_EQ(client->directive().verdict, Verdict::kGoOn);
}

}  // namespace
}  // namespace basin::coordinator
