// The service with a clock that only the test moves: admission, pushes, measurements, events.
#include "coordinator/service.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "tests/coordinator/trial.h"
#include "tests/support/message_of.h"

namespace basin::coordinator {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

class ServiceOfTwo : public testing::Test {
 protected:
  ServiceOfTwo() { clock_.Advance(std::chrono::hours(1)); }
  void BothJoin() {
    for (const int member : {0, 1}) service_.Handle(trial_.JoinOf(member));
  }
  static Caller Member(int id) { return {id, Trial::Process(id)}; }
  Service::Push Into(std::vector<Directive>& list) {
    return [&list](const Directive& directive) { list.push_back(directive); };
  }
  void Pass(double seconds) {
    for (int i = 0; i < static_cast<int>(seconds * 10); ++i) {
      clock_.Advance(std::chrono::milliseconds(100));
      service_.Tick();
    }
  }

  base::ManualClock clock_;
  Trial trial_{{.members = 2, .on_loss = OnLoss::kContinue}};
  Service service_{{}, clock_};
};

TEST_F(ServiceOfTwo, ARefusedJoinThrowsTheReason) {
  service_.Handle(trial_.JoinOf(0));
  Join stranger = trial_.JoinOf(1);
  stranger.token = "another run";
  EXPECT_THAT(test::MessageOf<Refused>([&] { service_.Handle(stranger); }), HasSubstr("run token"));
}

TEST_F(ServiceOfTwo, AWatchGetsWhatHoldsNowAndEveryDecision) {
  std::vector<Directive> told;
  service_.Handle(trial_.JoinOf(0));
  EXPECT_NE(service_.Open(Member(0), Into(told)), 0U);
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told.back().verdict, Verdict::kWait);
  service_.Handle(trial_.JoinOf(1));
  EXPECT_EQ(told.back().verdict, Verdict::kGoOn);
  service_.Handle(Leave{1, Trial::Process(1), LeaveKind::kFailed, "disk full"});
  EXPECT_EQ(told.back().verdict, Verdict::kRegroup);
}

TEST_F(ServiceOfTwo, AStrangersWatchIsToldToJoinAndNotKept) {
  std::vector<Directive> told;
  EXPECT_EQ(service_.Open(Member(0), Into(told)), 0U);
  EXPECT_EQ(told.at(0).verdict, Verdict::kJoinAgain);
  BothJoin();
  EXPECT_EQ(told.size(), 1U);
}

TEST_F(ServiceOfTwo, AWatchThatEndsMakesASilentMemberLostSooner) {
  std::vector<Directive> told;
  BothJoin();
  const uint64_t watch = service_.Open(Member(1), Into(told));
  service_.Handle(trial_.BeatOf(0, 1));
  service_.Handle(trial_.BeatOf(1, 1));
  service_.Close(Member(1), watch);
  Pass(3.2);
  EXPECT_EQ(service_.Handle(trial_.BeatOf(1, 1)).verdict, Verdict::kPutOut);
  EXPECT_EQ(service_.Handle(trial_.BeatOf(0, 1)).verdict, Verdict::kRegroup);
}

TEST_F(ServiceOfTwo, TheEndOfAWatchThatWasReplacedMeansNothing) {
  std::vector<Directive> told;
  BothJoin();
  const uint64_t first = service_.Open(Member(1), Into(told));
  service_.Open(Member(1), Into(told));
  service_.Close(Member(1), first);
  EXPECT_THAT(service_.status().waiting_for, IsEmpty());
}

TEST_F(ServiceOfTwo, OnlyMembersMayReportPutGetAndLeave) {
  BothJoin();
  const Caller forger{1, 7};
  EXPECT_THROW(service_.Report(forger, {}), Refused);
  EXPECT_THROW(service_.Put(forger, "a", "1"), Refused);
  EXPECT_THROW(service_.Get(forger, "a"), Refused);
  EXPECT_THROW(service_.Handle(Leave{1, 7, LeaveKind::kFailed, ""}), Refused);
  EXPECT_THROW(service_.Get({5, 1}, "a"), Refused);
}

TEST_F(ServiceOfTwo, ValuesOfOneMemberAreReadByAnother) {
  BothJoin();
  EXPECT_EQ(service_.Get(Member(1), "address"), std::nullopt);
  service_.Put(Member(0), "address", "10.0.0.1");
  EXPECT_EQ(service_.Get(Member(1), "address"), "10.0.0.1");
  EXPECT_THROW(service_.Put(Member(1), "address", "10.0.0.2"), Refused);
}

TEST_F(ServiceOfTwo, MeasurementsAreShownAndBoundedInNumber) {
  BothJoin();
  service_.Report(Member(0), {{"loss", std::numeric_limits<double>::quiet_NaN(), 3}});
  service_.Report(Member(0), {{"loss", 0.5, 4}});
  ASSERT_EQ(service_.status().members[0].measurements.size(), 1U);
  EXPECT_EQ(service_.status().members[0].measurements[0].value, 0.5);
  std::vector<Measurement> many;
  for (size_t i = 0; i <= kMaxMeasurements; ++i) many.push_back({std::to_string(i), 0, 0});
  EXPECT_THAT(test::MessageOf<Refused>([&] { service_.Report(Member(0), many); }), HasSubstr("more than 64 names"));
}

TEST_F(ServiceOfTwo, AMemberThatCallsWithoutPauseIsSlowedDownAndTheOthersAreNot) {
  BothJoin();
  int answered = 0;
  const auto flood = [&] {
    for (int i = 0; i < 10000; ++i) {
      service_.Get(Member(0), "a");
      ++answered;
    }
  };
  EXPECT_THAT(test::MessageOf<Refused>(flood), HasSubstr("calls too often"));
  EXPECT_EQ(answered, 400);
  EXPECT_NO_THROW(service_.Get(Member(1), "a"));
  clock_.Advance(std::chrono::seconds(1));
  EXPECT_NO_THROW(service_.Get(Member(0), "a"));
}

TEST_F(ServiceOfTwo, StrangersAreLimitedTogether) {
  int answered = 0;
  const auto flood = [&] {
    for (int i = 0; i < 100000; ++i) {
      service_.Ask();
      ++answered;
    }
  };
  EXPECT_THAT(test::MessageOf<Refused>(flood), HasSubstr("too many calls"));
  EXPECT_EQ(answered, 2 * kMaxMembers);
}

TEST_F(ServiceOfTwo, EventsAreHandedOutOnceAndInOrder) {
  BothJoin();
  const std::vector<EventLine> events = service_.TakeEvents();
  ASSERT_EQ(events.size(), 3U);
  EXPECT_EQ(events[0].action.kind, Action::Kind::kJoined);
  EXPECT_EQ(events[2].action.kind, Action::Kind::kStarted);
  EXPECT_EQ(events[2].epoch, 1);
  EXPECT_THAT(service_.TakeEvents(), IsEmpty());
}

TEST_F(ServiceOfTwo, TasksOfALostAndOfASlowMemberGoToTheOtherAndPeopleAreTold) {
  BothJoin();
  service_.PostTasks(Member(0), {.works = {"a", "b"}, .deadline_s = 1});
  EXPECT_EQ(service_.FetchTask(Member(1)).task.id, 0);
  service_.Handle(Leave{1, Trial::Process(1), LeaveKind::kFailed, "disk full"});
  EXPECT_EQ(service_.FetchTask(Member(0)).task.id, 0);
  EXPECT_THAT(test::MessageOf<Refused>([&] { service_.ReturnTask(Member(1), 0, {1}); }), HasSubstr("not member 1"));
  service_.TakeEvents();
  Pass(1.2);
  const std::vector<EventLine> events = service_.TakeEvents();
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].action.text, "member 0 held task 0 for longer than its deadline; another may have it");
}

TEST_F(ServiceOfTwo, TheTaskOfAMemberThatFallsSilentIsOpenAgain) {
  BothJoin();
  service_.PostTasks(Member(0), {.works = {"a"}, .deadline_s = 1000});
  service_.FetchTask(Member(1));
  EXPECT_EQ(service_.FetchTask(Member(0)).kind, FetchedTask::Kind::kNoneOpen);
  for (int i = 0; i < 40; ++i) {
    service_.Handle(trial_.BeatOf(0, 1));
    Pass(1);
  }
  EXPECT_FALSE(service_.IsPresent(1));
  EXPECT_EQ(service_.FetchTask(Member(0)).task.work, "a");
}

TEST_F(ServiceOfTwo, ResultsThatDifferAreAnEventAndStrangersGetNoTask) {
  BothJoin();
  EXPECT_EQ(service_.ReturnTask(Member(0), 0, {1}).total, 0);  // there is no list, and nothing was taken
  service_.PostTasks(Member(0), {.works = {"a\x1b"}, .deadline_s = 1});
  service_.ReturnTask(Member(0), 0, {1});
  service_.TakeEvents();
  service_.ReturnTask(Member(1), 0, {2});
  const std::vector<EventLine> events = service_.TakeEvents();
  ASSERT_EQ(events.size(), 1U);
  EXPECT_THAT(events[0].action.text, HasSubstr("another result of task 0 ('a?')"));
  EXPECT_EQ(service_.ResultsOfTasks(Member(1), 0).values.at(0).at(0), 1);
  EXPECT_THAT(service_.ResultsOfTasks(Member(1), 1).values, IsEmpty());
  EXPECT_THROW(service_.FetchTask({0, 12345}), Refused);
  EXPECT_THROW(service_.PostTasks({0, 12345}, {}), Refused);
}

}  // namespace
}  // namespace basin::coordinator
