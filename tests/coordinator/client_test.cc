// Clients and a server over real gRPC on the loopback.
#include "coordinator/client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <mutex>
#include <thread>

#include "base/error.h"
#include "coordinator/channel.h"
#include "coordinator/server.h"
#include "coordinator/wire.h"
#include "proto/coordinator.grpc.pb.h"
#include "tests/coordinator/eventually.h"
#include "tests/support/message_of.h"

namespace basin::coordinator {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr auto kSoon = 30s;  // never reached unless something is broken

// Fast beats: what takes seconds in a run takes tenths here.
Settings FastSettings(int members, OnLoss on_loss = OnLoss::kContinue) {
  return {.members = members, .on_loss = on_loss, .heartbeat_s = 0.1, .timeout_s = 0.8};
}

/// Joins and is never heard again: a process that was stopped.
void JoinAndFallSilent(const std::string& address, int member, const Settings& settings) {
  const auto stub = v1::Coordinator::NewStub(OpenChannel(address, {}));
  grpc::ClientContext context;
  v1::Directive reply;
  const Join join{
      .member = member, .incarnation = 5, .token = "run-1", .host = "frozen-host", .pid = 1, .settings = settings};
  ASSERT_TRUE(stub->Join(&context, ToWire(join), &reply).ok());
}

class ClientAndServer : public testing::Test {
 protected:
  ClientOptions Options(int member, const Settings& settings) const {
    return {.address = server_->address(),
            .member = member,
            .token = "run-1",
            .settings = settings,
            .join_s = 20,
            .give_up_s = 20};
  }
  std::unique_ptr<Client> Joined(int member, const Settings& settings) const {
    return std::make_unique<Client>(Options(member, settings));
  }
  void RestartServer() {
    const std::string address = server_->address();
    server_.reset();
    server_ = std::make_unique<Server>(ServerOptions{.listen = address}, clock_);
  }

  base::SystemClock clock_;
  std::unique_ptr<Server> server_ = std::make_unique<Server>(ServerOptions{}, clock_);
};

TEST_F(ClientAndServer, TheGroupIsCompleteWhenAllHaveJoined) {
  const auto a = Joined(0, FastSettings(2));
  EXPECT_EQ(a->directive().verdict, Verdict::kWait);
  const auto b = Joined(1, FastSettings(2));
  EXPECT_EQ(a->AwaitGroup(kSoon).verdict, Verdict::kGoOn);
  EXPECT_THAT(b->AwaitGroup(kSoon).members, ElementsAre(0, 1));
  EXPECT_FALSE(a->fenced());
}

TEST_F(ClientAndServer, WaitingForAGroupThatIsNeverCompleteEndsAndNamesTheAbsent) {
  const auto a = Joined(0, FastSettings(2));
  EXPECT_THAT(test::MessageOf<CommError>([&] { a->AwaitGroup(50ms); }), HasSubstr("waiting for member 1"));
}

TEST_F(ClientAndServer, AMemberOfAnotherRunIsRefusedAtOnce) {
  const auto a = Joined(0, FastSettings(2));
  ClientOptions options = Options(1, FastSettings(2));
  options.token = "run-2";
  EXPECT_THAT(test::MessageOf<CommError>([&] { Client stranger(options); }),
              AllOf(HasSubstr("member 1 cannot join"), HasSubstr("run token")));
}

TEST_F(ClientAndServer, NobodyThereEndsTheJoinAtItsDeadline) {
  ClientOptions options = Options(0, FastSettings(1));
  server_.reset();
  options.join_s = 0.3;
  EXPECT_THAT(test::MessageOf<CommError>([&] { Client lonely(options); }),
              HasSubstr("no answer from a coordinator at 127.0.0.1:"));
  EXPECT_THROW(QueryStatus(options.address, {}, 2s), CommError);
}

TEST_F(ClientAndServer, StatusShowsWhatAMemberDoes) {
  const auto a = Joined(0, FastSettings(1));
  a->Progress({.phase = Phase::kEvaluation, .step = 7, .operation = "evaluate test", .steps_per_second = 12.5});
  ASSERT_TRUE(Eventually([&] { return server_->status().members.at(0).step == 7; }));
  const Status status = QueryStatus(server_->address(), {}, kSoon);
  EXPECT_EQ(status.members.at(0).state, "evaluation");
  EXPECT_EQ(status.members.at(0).operation, "evaluate test");
  EXPECT_EQ(status.members.at(0).steps_per_second, 12.5);
  EXPECT_THAT(status.waiting_for, IsEmpty());
}

TEST_F(ClientAndServer, ASilentMemberEndsEverybodyWhenLossMeansAbort) {
  const Settings settings = FastSettings(2, OnLoss::kAbort);
  std::mutex mutex;
  std::vector<Verdict> told;
  ClientOptions options = Options(0, settings);
  options.on_directive = [&](const Directive& directive) {
    const std::lock_guard lock(mutex);
    told.push_back(directive.verdict);
  };
  Client client(options);
  client.Progress({.phase = Phase::kTraining});
  JoinAndFallSilent(server_->address(), 1, settings);
  // Until a member says that it trains, the long deadline of the start-up counts.
  ASSERT_TRUE(Eventually([&] { return client.directive().verdict == Verdict::kGoOn; }));
  const auto stub = v1::Coordinator::NewStub(OpenChannel(server_->address(), {}));
  grpc::ClientContext context;
  v1::Directive reply;
  ASSERT_TRUE(stub->Heartbeat(&context,
                              ToWire(Beat{.member = 1, .incarnation = 5, .step = 3, .operation = "exchange wash"}),
                              &reply)
                  .ok());
  ASSERT_TRUE(Eventually([&] { return client.directive().verdict == Verdict::kEnd; }));
  EXPECT_THAT(client.directive().reason, AllOf(HasSubstr("member 1 on frozen-host"),
                                               HasSubstr("'exchange wash', step 3"), HasSubstr("on_loss is abort")));
  const std::lock_guard lock(mutex);
  EXPECT_THAT(told, ElementsAre(Verdict::kWait, Verdict::kGoOn, Verdict::kEnd));
}

TEST_F(ClientAndServer, TheSurvivorsOfAFailureAgreeOnAStepAndGoOn) {
  const Settings settings = FastSettings(3);
  const auto a = Joined(0, settings), b = Joined(1, settings);
  auto c = Joined(2, settings);
  for (Client* client : {a.get(), b.get(), c.get()}) client->AwaitGroup(kSoon);
  EXPECT_EQ(a->AwaitChange(1, 20ms).epoch, 1) << "nothing has changed";
  c.reset();  // ends without a farewell
  for (Client* client : {a.get(), b.get()}) EXPECT_EQ(client->AwaitChange(1, kSoon).verdict, Verdict::kRegroup);
  Directive of_b;
  std::thread other([&] { of_b = b->Agree(41, kSoon); });
  const Directive of_a = a->Agree(42, kSoon);
  other.join();
  EXPECT_EQ(of_a.verdict, Verdict::kGoOn);
  EXPECT_EQ(of_a.step, 42);
  EXPECT_EQ(of_b.step, 42);
  EXPECT_THAT(of_b.members, ElementsAre(0, 1));
  EXPECT_EQ(of_b.epoch, 2);
}

TEST_F(ClientAndServer, AnAgreementThatNeverComesEndsAtItsDeadline) {
  const Settings settings = FastSettings(3);
  const auto a = Joined(0, settings), b = Joined(1, settings);
  auto c = Joined(2, settings);
  a->AwaitGroup(kSoon);
  c.reset();
  ASSERT_TRUE(Eventually([&] { return a->directive().verdict == Verdict::kRegroup; }));
  EXPECT_THAT(test::MessageOf<CommError>([&] { a->Agree(42, 100ms); }), HasSubstr("at step 42 for epoch 2"));
}

TEST_F(ClientAndServer, MembersThatLeaveInOrderFinishTheRun) {
  const auto a = Joined(0, FastSettings(2)), b = Joined(1, FastSettings(2));
  a->Leave(LeaveKind::kDone, "finished");
  b->Leave(LeaveKind::kDone, "finished");
  EXPECT_EQ(server_->status().outcome, "finished");
  EXPECT_EQ(server_->status().members.at(1).state, "left");
}

TEST_F(ClientAndServer, MembersComeBackToARestartedCoordinator) {
  const auto a = Joined(0, FastSettings(2)), b = Joined(1, FastSettings(2));
  a->AwaitGroup(kSoon);
  b->AwaitGroup(kSoon);
  a->Progress({.phase = Phase::kTraining, .step = 9});
  RestartServer();
  ASSERT_TRUE(Eventually([&] {
    const Status status = server_->status();
    return status.members.size() == 2 && status.waiting_for.empty() && status.members[0].step == 9;
  }));
  EXPECT_EQ(server_->status().epoch, 1);
  EXPECT_EQ(a->directive().verdict, Verdict::kGoOn);
}

TEST_F(ClientAndServer, WithoutACoordinatorAMemberIsFencedFirstAndGivesUpLater) {
  ClientOptions options = Options(0, FastSettings(1));
  options.give_up_s = 1.5;
  Client client(options);
  client.AwaitGroup(kSoon);
  server_.reset();
  ASSERT_TRUE(Eventually([&] { return client.fenced(); }));
  ASSERT_TRUE(Eventually([&] { return client.directive().verdict == Verdict::kEnd; }));
  EXPECT_THAT(client.directive().reason, AllOf(HasSubstr("member 0 gave up after 1.5 s"), HasSubstr("no answer")));
}

TEST_F(ClientAndServer, ValuesReachTheOthersHoweverLateTheyAreWritten) {
  const auto a = Joined(0, FastSettings(2)), b = Joined(1, FastSettings(2));
  std::string read;
  std::thread reader([&] { read = b->Await("epoch 1/id", kSoon); });
  const std::string id("\0\xff binary", 9);
  a->Put("epoch 1/id", id, kSoon);
  reader.join();
  EXPECT_EQ(read, id);
  EXPECT_THAT(test::MessageOf<CommError>([&] { a->Await("nobody/writes/this", 60ms); }),
              AllOf(HasSubstr("nobody/writes/this"), HasSubstr("nobody has written it")));
  EXPECT_THAT(test::MessageOf<CommError>([&] { a->Put("epoch 1/id", "another", kSoon); }),
              HasSubstr("written already"));
}

TEST_F(ClientAndServer, MeasurementsAppearInTheStatus) {
  const auto a = Joined(0, FastSettings(1));
  a->Report({{"loss", 0.25, 3}, {"accuracy", 0.5, 3}});
  EXPECT_TRUE(Eventually([&] { return server_->status().members.at(0).measurements.size() == 2U; }));
}

TEST_F(ClientAndServer, AMessageBeyondTheLimitIsRefusedAndHarmsNobody) {
  const auto a = Joined(0, FastSettings(1));
  const auto stub = v1::Coordinator::NewStub(OpenChannel(server_->address(), {}));
  grpc::ClientContext context;
  v1::PutRequest request;
  request.set_value(std::string(4 << 20, 'x'));
  v1::PutReply reply;
  EXPECT_EQ(stub->Put(&context, request, &reply).error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(server_->status().members.at(0).state, "start-up");
}

TEST_F(ClientAndServer, AddressesOfOtherMachinesAreRefusedUnlessAskedFor) {
  EXPECT_THAT(test::MessageOf<ConfigError>([&] { Server open({.listen = "0.0.0.0:0"}, clock_); }),
              HasSubstr("other machines can reach"));
  EXPECT_NO_THROW(Server({.listen = "0.0.0.0:0", .reach = Reach::kNetwork}, clock_));
}

TEST_F(ClientAndServer, APortInUseIsAnError) {
  EXPECT_THAT(test::MessageOf<ConfigError>([&] { Server second({.listen = server_->address()}, clock_); }),
              HasSubstr("cannot listen on"));
}

TEST_F(ClientAndServer, EventsAreHandedOnInOrder) {
  std::mutex mutex;
  std::vector<std::string> events;
  server_ = std::make_unique<Server>(ServerOptions{.on_event =
                                                       [&](double, int64_t, const Action& action) {
                                                         const std::lock_guard lock(mutex);
                                                         events.emplace_back(Name(action.kind));
                                                       }},
                                     clock_);
  const auto a = Joined(0, FastSettings(1));
  a->Leave(LeaveKind::kDone, "finished");
  EXPECT_TRUE(Eventually([&] {
    const std::lock_guard lock(mutex);
    return events.size() == 4;
  }));
  server_.reset();
  EXPECT_THAT(events, ElementsAre("joined", "started", "left", "finished"));
}

}  // namespace
}  // namespace basin::coordinator
