// Nothing from the wire is used unchecked.
#include "coordinator/wire.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "coordinator/limits.h"
#include "tests/support/message_of.h"

namespace basin::coordinator {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const Join kJoin{.member = 3,
                 .incarnation = 77,
                 .token = "t",
                 .host = "node-1",
                 .pid = 4711,
                 .settings = {.members = 8, .on_loss = OnLoss::kContinue, .heartbeat_s = 0.5, .timeout_s = 3},
                 .again = true,
                 .epoch = 5,
                 .group = {0, 3, 7},
                 .agreed_step = 120,
                 .step = 130};
const Beat kBeat{.member = 3,
                 .incarnation = 77,
                 .phase = Phase::kCheckpoint,
                 .step = 9,
                 .operation = "write",
                 .steps_per_second = 1.5,
                 .ready_epoch = 2};

template <typename Change>
std::string RefusalOfJoin(Change change) {
  wire::JoinRequest request = ToWire(kJoin);
  change(request);
  return test::MessageOf<Refused>([&] { FromWire(request); });
}
template <typename Change>
std::string RefusalOfBeat(Change change) {
  wire::HeartbeatRequest request = ToWire(kBeat);
  change(request);
  return test::MessageOf<Refused>([&] { FromWire(request); });
}

TEST(Wire, AJoinArrivesAsItWasSent) {
  const Join join = FromWire(ToWire(kJoin));
  EXPECT_EQ(join.member, 3);
  EXPECT_EQ(join.incarnation, 77U);
  EXPECT_EQ(join.settings, kJoin.settings);
  EXPECT_TRUE(join.again);
  EXPECT_EQ(join.epoch, 5);
  EXPECT_THAT(join.group, ElementsAre(0, 3, 7));
  EXPECT_EQ(join.agreed_step, 120);
  EXPECT_EQ(join.step, 130);
}

TEST(Wire, ABeatArrivesAsItWasSent) {
  const Beat beat = FromWire(ToWire(kBeat));
  EXPECT_EQ(beat.phase, Phase::kCheckpoint);
  EXPECT_EQ(beat.operation, "write");
  EXPECT_EQ(beat.steps_per_second, 1.5);
  EXPECT_EQ(beat.ready_epoch, 2);
}

TEST(Wire, EveryVerdictAndEveryLeaveKindArrives) {
  for (const Verdict verdict :
       {Verdict::kWait, Verdict::kGoOn, Verdict::kRegroup, Verdict::kEnd, Verdict::kPutOut, Verdict::kJoinAgain}) {
    const Directive sent{.verdict = verdict, .epoch = 3, .members = {1, 2}, .step = 7, .reason = "because"};
    EXPECT_EQ(FromWire(ToWire(sent)), sent);
  }
  for (const LeaveKind kind : {LeaveKind::kDone, LeaveKind::kInterrupted, LeaveKind::kFailed})
    EXPECT_EQ(FromWire(ToWire(Leave{.member = 1, .incarnation = 2, .kind = kind})).kind, kind);
}

TEST(Wire, MembersOutOfRangeAreRefused) {
  EXPECT_THAT(RefusalOfJoin([](auto& r) { r.mutable_caller()->set_member(-1); }), HasSubstr("caller.member is -1"));
  EXPECT_THAT(RefusalOfJoin([](auto& r) { r.mutable_caller()->set_member(kMaxMembers); }), HasSubstr("caller.member"));
  EXPECT_THAT(RefusalOfJoin([](auto& r) { r.mutable_caller()->set_incarnation(0); }), HasSubstr("incarnation"));
  EXPECT_THAT(RefusalOfJoin([](auto& r) { r.clear_caller(); }), HasSubstr("incarnation"));
}

TEST(Wire, SettingsOutOfRangeAreRefused) {
  EXPECT_THAT(RefusalOfJoin([](auto& r) { r.mutable_settings()->set_members(0); }), HasSubstr("settings.members is 0"));
  EXPECT_THAT(RefusalOfJoin([](auto& r) { r.mutable_settings()->set_members(1 << 30); }),
              HasSubstr("settings.members"));
  EXPECT_THAT(RefusalOfJoin([](auto& r) { r.mutable_settings()->set_heartbeat_s(std::nan("")); }),
              HasSubstr("heartbeat_s is nan"));
  EXPECT_THAT(RefusalOfJoin([](auto& r) { r.mutable_settings()->set_timeout_s(INFINITY); }),
              HasSubstr("timeout_s is inf"));
  EXPECT_THAT(RefusalOfJoin([](auto& r) { r.mutable_settings()->set_on_loss(static_cast<wire::Settings::OnLoss>(9)); }),
              HasSubstr("on_loss is 9"));
  EXPECT_THAT(RefusalOfJoin([](auto& r) { r.clear_settings(); }), HasSubstr("on_loss is 0"));
}

TEST(Wire, NumbersOutOfRangeAreRefused) {
  EXPECT_THAT(RefusalOfJoin([](auto& r) { r.set_step(-1); }), HasSubstr("step is -1"));
  EXPECT_THAT(RefusalOfJoin([](auto& r) { r.set_epoch(INT64_MAX); }), HasSubstr("epoch"));
  EXPECT_THAT(RefusalOfJoin([](auto& r) { r.set_agreed_step(-2); }), HasSubstr("agreed_step"));
  EXPECT_THAT(RefusalOfBeat([](auto& r) { r.set_steps_per_second(std::nan("")); }),
              HasSubstr("steps_per_second is nan"));
  EXPECT_THAT(RefusalOfBeat([](auto& r) { r.set_steps_per_second(-0.5); }), HasSubstr("steps_per_second is -0.5"));
  EXPECT_THAT(RefusalOfBeat([](auto& r) { r.set_steps_per_second(INFINITY); }), HasSubstr("inf"));
  EXPECT_THAT(RefusalOfBeat([](auto& r) { r.set_step(INT64_MAX); }), HasSubstr("step"));
  EXPECT_THAT(RefusalOfBeat([](auto& r) { r.set_phase(static_cast<wire::Phase>(99)); }), HasSubstr("phase is 99"));
}

TEST(Wire, LongTextsAndListsAreRefused) {
  EXPECT_THAT(RefusalOfJoin([](auto& r) { r.set_host(std::string(256, 'h')); }), HasSubstr("host has 256 bytes"));
  EXPECT_THAT(RefusalOfJoin([](auto& r) { r.set_run_token(std::string(257, 't')); }), HasSubstr("run_token"));
  EXPECT_THAT(RefusalOfBeat([](auto& r) { r.set_operation(std::string(201, 'o')); }), HasSubstr("operation"));
  EXPECT_THAT(RefusalOfJoin([](auto& r) {
                for (int i = 0; i <= kMaxMembers; ++i) r.add_group(i);
              }),
              HasSubstr("group has 4100"));
  wire::ReportRequest report;
  for (size_t i = 0; i <= kMaxMeasurements; ++i) report.add_measurements()->set_name("x");
  EXPECT_THROW(FromWire(report), Refused);
}

TEST(Wire, MeasurementsMayBeInfiniteButNeedAName) {
  wire::ReportRequest report;
  ToWire({"loss", std::numeric_limits<double>::infinity(), 4}, *report.add_measurements());
  EXPECT_TRUE(std::isinf(FromWire(report).at(0).value));
  report.add_measurements();
  EXPECT_THAT(test::MessageOf<Refused>([&] { FromWire(report); }), HasSubstr("without a name"));
}

TEST(Wire, TextsCannotDriveATerminal) {
  wire::HeartbeatRequest request = ToWire(kBeat);
  request.set_operation("a\x1b[2Jb\nc");
  EXPECT_EQ(FromWire(request).operation, "a?[2Jb?c");
}

TEST(Wire, TextsAreCutBetweenCharacters) {
  EXPECT_EQ(Printable("ab\xc3\xa4", 3), "ab");
  EXPECT_EQ(Printable("ab\xc3\xa4", 4), "ab\xc3\xa4");
}

TEST(Wire, AnAnswerOfAnotherVersionIsAnError) {
  wire::Directive directive;
  EXPECT_THROW(FromWire(directive), CommError);
  directive.set_verdict(static_cast<wire::Verdict>(12));
  EXPECT_THROW(FromWire(directive), CommError);
}

TEST(Wire, AStatusArrivesAsItWasSent) {
  const Status sent{.members = {{.id = 1,
                                 .state = "training",
                                 .host = "h",
                                 .pid = 3,
                                 .step = 4,
                                 .operation = "o",
                                 .steps_per_second = 5,
                                 .member_for_s = 6,
                                 .silent_s = 7,
                                 .operation_s = 8,
                                 .note = "n",
                                 .measurements = {{"loss", 0.25, 4}}}},
                    .waiting_for = {1},
                    .reason = "r",
                    .epoch = 2,
                    .step = 3,
                    .outcome = "running"};
  const Status received = FromWire(ToWire(sent));
  EXPECT_THAT(received.waiting_for, ElementsAre(1));
  EXPECT_EQ(received.members.at(0).state, "training");
  EXPECT_EQ(received.members.at(0).silent_s, 7);
  EXPECT_EQ(received.members.at(0).measurements.at(0).value, 0.25);
  EXPECT_EQ(received.outcome, "running");
}

}  // namespace
}  // namespace basin::coordinator
