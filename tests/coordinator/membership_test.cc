// The decisions of the membership in a run whose coordinator lives: joining, silence, loss, return, agreement, leaving.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/coordinator/trial.h"

namespace basin::coordinator {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using Kind = Action::Kind;

constexpr Settings kAbort{.members = 4, .on_loss = OnLoss::kAbort};

TEST(Membership, TheGroupBeginsWhenTheLastMemberJoins) {
  Trial run;
  for (const int member : {2, 0, 3}) run.Happens(run.JoinOf(member));
  EXPECT_EQ(run.ToldTo(0).verdict, Verdict::kWait);
  EXPECT_THAT(run.ToldTo(0).reason, HasSubstr("member 1"));
  run.Happens(run.JoinOf(1));
  EXPECT_EQ(run.ToldTo(0).verdict, Verdict::kGoOn);
  EXPECT_EQ(run.ToldTo(0).epoch, 1);
  EXPECT_THAT(run.ToldTo(3).members, ElementsAre(0, 1, 2, 3));
}

TEST(Membership, AResumedRunBeginsAfterItsStep) {
  Trial run;
  for (int member = 0; member < 4; ++member) {
    Join join = run.JoinOf(member);
    join.step = 500;
    run.Happens(join);
  }
  EXPECT_EQ(run.ToldTo(0).step, 500);
}

TEST(Membership, APopulationOfOneIsAGroup) {
  Trial run({.members = 1});
  run.AllJoin();
  EXPECT_EQ(run.ToldTo(0).verdict, Verdict::kGoOn);
}

TEST(Membership, WhoDoesNotJoinInTimeEndsTheRunAndIsNamed) {
  Trial run;
  for (const int member : {0, 1, 3}) run.Happens(run.JoinOf(member));
  run.Pass(121, {0, 1, 3}, 0);
  EXPECT_EQ(run.ToldTo(0).verdict, Verdict::kEnd);
  EXPECT_EQ(run.ToldTo(0).reason, "member 2 did not join within 120 s of the first one");
}

TEST(Membership, JoiningTwiceFromOneProcessIsHarmless) {
  Trial run;
  run.AllJoin();
  EXPECT_TRUE(run.Happens(run.JoinOf(2)).accepted);
  EXPECT_EQ(run.Count(Kind::kJoined), 4);
  EXPECT_EQ(run.ToldTo(2).epoch, 1);
}

TEST(Membership, ASecondProcessOfAMemberIsRefusedAndToldWhoIsThere) {
  Trial run;
  run.AllTrain();
  Join twin = run.JoinOf(2);
  twin.incarnation = 999;
  const Outcome outcome = run.Happens(twin);
  EXPECT_FALSE(outcome.accepted);
  EXPECT_THAT(outcome.reason, AllOf(HasSubstr("member 2 is here already"), HasSubstr("process 4002 on host-2")));
  EXPECT_EQ(run.ToldTo(2).verdict, Verdict::kGoOn) << "the first process is not disturbed";
}

TEST(Membership, BeforeTheGroupIsCompleteAProcessThatDiedMayBeStartedAnew) {
  Trial run;
  run.Happens(run.JoinOf(2));
  run.Happens(Disconnect{2, Trial::Process(2)});
  Join anew = run.JoinOf(2);
  anew.incarnation = 999;
  EXPECT_TRUE(run.Happens(anew).accepted);
  EXPECT_EQ(run.ToldTo(2).verdict, Verdict::kPutOut) << "the old process, should it live after all";
}

TEST(Membership, ANewProcessCannotEnterARunUnderWay) {
  Trial run;
  run.AllTrain();
  run.Pass(11, {0, 1, 3});
  Join anew = run.JoinOf(2);
  anew.incarnation = 999;
  EXPECT_THAT(run.Happens(anew).reason, HasSubstr("put out"));
}

TEST(Membership, AMemberOfAnotherRunIsRefused) {
  Trial run;
  run.Happens(run.JoinOf(0));
  Join stranger = run.JoinOf(1);
  stranger.token = "run-2";
  EXPECT_THAT(run.Happens(stranger).reason, HasSubstr("run token"));
  EXPECT_EQ(run.Picture().waiting_for, (std::vector<int>{1, 2, 3}));
}

TEST(Membership, TheCommandLinesTokenCountsFromTheFirstMemberOn) {
  Trial run({.members = 2}, {.token = "secret"});
  EXPECT_FALSE(run.Happens(run.JoinOf(0)).accepted);
  EXPECT_FALSE(run.state().settings.has_value()) << "a refused join fixes nothing";
}

TEST(Membership, AMemberWithAnotherConfigurationIsRefused) {
  Trial run;
  run.Happens(run.JoinOf(0));
  Join other = run.JoinOf(1);
  other.settings.members = 8;
  EXPECT_THAT(run.Happens(other).reason, HasSubstr("this run has 4 members"));
  other.settings = {.members = 4, .on_loss = OnLoss::kAbort};
  EXPECT_THAT(run.Happens(other).reason, HasSubstr("on_loss continue"));
}

TEST(Membership, TheCommandLinesSettingsWinOverTheMembers) {
  Trial run(kAbort, {.on_loss = OnLoss::kContinue});
  run.AllTrain();
  run.Pass(11, {0, 1, 3});
  EXPECT_EQ(run.ToldTo(0).verdict, Verdict::kRegroup);
}

TEST(Membership, ImpossibleJoinsAreRefused) {
  Trial run;
  Join join = run.JoinOf(4);
  EXPECT_THAT(run.Happens(join).reason, HasSubstr("member 4 is out of range"));
  join = run.JoinOf(-1);
  EXPECT_FALSE(run.Happens(join).accepted);
  join = run.JoinOf(0);
  join.epoch = 3;
  EXPECT_FALSE(run.Happens(join).accepted) << "only a member that joins again knows an epoch";
  join = run.JoinOf(0);
  join.incarnation = 0;
  EXPECT_FALSE(run.Happens(join).accepted);
  join = run.JoinOf(0);
  join.settings.timeout_s = 1;
  EXPECT_THAT(run.Happens(join).reason, HasSubstr("heartbeat_s < timeout_s"));
}

TEST(Membership, BeatsOnTimeLoseNobody) {
  Trial run;
  run.AllTrain();
  run.Pass(3600, {0, 1, 2, 3});
  EXPECT_EQ(run.ToldTo(0).epoch, 1);
  EXPECT_EQ(run.Count(Kind::kLost), 0);
}

TEST(Membership, ASilentMemberEndsTheRunWhenLossMeansAbort) {
  Trial run(kAbort);
  run.AllTrain(120);
  run.Pass(9.9, {0, 1, 3});
  EXPECT_EQ(run.ToldTo(0).verdict, Verdict::kGoOn);
  run.Pass(0.2, {0, 1, 3});
  EXPECT_EQ(run.ToldTo(0).verdict, Verdict::kEnd);
  EXPECT_EQ(run.ToldTo(0).reason,
            "member 2 on host-2 (process 4002) was silent for 10.1 s in operation 'exchange wash', step 120 (training "
            "allows 10 s); on_loss is abort");
}

TEST(Membership, TheSurvivorsOfASilentMemberGoOnInANewEpoch) {
  Trial run;
  run.AllTrain(120);
  run.Pass(11, {0, 1, 3});
  EXPECT_EQ(run.ToldTo(0).verdict, Verdict::kRegroup);
  EXPECT_EQ(run.ToldTo(0).epoch, 2);
  EXPECT_THAT(run.ToldTo(0).members, ElementsAre(0, 1, 3));
  EXPECT_EQ(run.ToldTo(0).step, -1);
  EXPECT_THAT(run.ToldTo(0).reason, AllOf(HasSubstr("member 2 on host-2"), HasSubstr("3 of 4 members (0, 1, 3)")));
}

TEST(Membership, TheSurvivorsAgreeOnTheLargestOfTheirStepsOnceAllStandStill) {
  Trial run;
  run.AllTrain(120);
  run.Pass(11, {0, 1, 3}, 120);
  run.AllBeat({0}, 121, 2);
  run.AllBeat({1}, 120, 2);
  EXPECT_EQ(run.ToldTo(0).verdict, Verdict::kRegroup) << "member 3 is still on its way";
  EXPECT_THAT(run.Picture().waiting_for, ElementsAre(3));
  run.AllBeat({3}, 120, 2);
  EXPECT_EQ(run.ToldTo(3).verdict, Verdict::kGoOn);
  EXPECT_EQ(run.ToldTo(3).step, 121);
  EXPECT_THAT(run.ToldTo(3).reason, AllOf(HasSubstr("host-2"), HasSubstr("agreed on step 121")));
}

TEST(Membership, ReadinessForAnOlderEpochDoesNotCount) {
  Trial run;
  run.AllTrain();
  run.Pass(11, {0, 1, 3});
  run.AllBeat({0, 1, 3}, 1, 1);
  EXPECT_EQ(run.ToldTo(0).verdict, Verdict::kRegroup);
}

TEST(Membership, AMemberThatBeatsButNeverStopsForTheRegroupingIsLostToo) {
  Trial run;
  run.AllTrain();
  run.Pass(11, {0, 1, 3});
  for (int second = 0; second < 32; second += 2) {
    run.AllBeat({0, 1}, 5, 2);
    run.AllBeat({3}, 5);
    run.Pass(2, {});
  }
  EXPECT_EQ(run.ToldTo(3).verdict, Verdict::kPutOut);
  EXPECT_THAT(run.ToldTo(3).reason, HasSubstr("did not stop for the regrouping of epoch 2 within 30 s"));
  EXPECT_EQ(run.ToldTo(0).epoch, 3);
  EXPECT_THAT(run.ToldTo(0).members, ElementsAre(0, 1));
}

TEST(Membership, TwoLossesAtOnceAreOneDecision) {
  Trial run;
  run.AllTrain();
  run.Pass(11, {0, 3});
  EXPECT_EQ(run.ToldTo(0).epoch, 2);
  EXPECT_THAT(run.ToldTo(0).members, ElementsAre(0, 3));
  EXPECT_THAT(run.ToldTo(0).reason, AllOf(HasSubstr("member 1 on host-1"), HasSubstr("member 2 on host-2")));
  EXPECT_EQ(run.Count(Kind::kRegroup), 1);
}

TEST(Membership, ALossDuringTheRegroupingStartsAnotherEpochForTheRest) {
  Trial run;
  run.AllTrain();
  run.Pass(11, {0, 1, 3});
  run.Pass(11, {0, 1}, 7, 2);
  EXPECT_EQ(run.ToldTo(0).epoch, 3);
  EXPECT_EQ(run.ToldTo(0).verdict, Verdict::kRegroup);
  run.AllBeat({0, 1}, 7, 3);
  EXPECT_EQ(run.ToldTo(0).verdict, Verdict::kGoOn);
  EXPECT_THAT(run.ToldTo(0).members, ElementsAre(0, 1));
}

TEST(Membership, OfASplitNetworkOnlyTheSideOfTheCoordinatorGoesOn) {
  Trial run;
  run.AllTrain();
  run.Pass(20, {0, 1});  // members 2 and 3 train on behind the cut, unheard
  run.AllBeat({0, 1}, 5, 2);
  run.Happens(run.BeatOf(2, 40));  // the wire is whole again
  run.Happens(run.BeatOf(3, 40));
  EXPECT_EQ(run.ToldTo(2).verdict, Verdict::kPutOut);
  EXPECT_EQ(run.ToldTo(3).verdict, Verdict::kPutOut);
  EXPECT_EQ(run.ToldTo(0).step, 5) << "the other side's steps count for nothing";
  EXPECT_THAT(run.ToldTo(0).members, ElementsAre(0, 1));
}

TEST(Membership, ALateMemberIsToldThatItWasPutOutAndWhy) {
  Trial run;
  run.AllTrain();
  run.Pass(30, {0, 1, 3});
  run.Happens(run.BeatOf(2, 1));
  EXPECT_EQ(run.ToldTo(2).verdict, Verdict::kPutOut);
  EXPECT_THAT(run.ToldTo(2).reason, HasSubstr("was silent for 10.1 s"));
  EXPECT_THAT(run.Happens(run.JoinOf(2)).reason, HasSubstr("has been put out"));
}

TEST(Membership, ALateMemberOfAnAbortedRunIsPutOutToo) {
  Trial run(kAbort);
  run.AllTrain();
  run.Pass(11, {0, 1, 3});
  run.Happens(run.BeatOf(2, 1));
  EXPECT_EQ(run.ToldTo(2).verdict, Verdict::kPutOut);
}

TEST(Membership, AClosedConnectionShortensTheWaitForAMemberThatDied) {
  Trial run;
  run.AllTrain();
  run.Happens(Disconnect{2, Trial::Process(2)});
  run.Pass(2.9, {0, 1, 3});
  EXPECT_EQ(run.ToldTo(0).epoch, 1);
  run.Pass(0.2, {0, 1, 3});
  EXPECT_EQ(run.ToldTo(0).epoch, 2);
  EXPECT_THAT(run.ToldTo(0).reason, HasSubstr("closed its connection and was silent for 3.1 s"));
}

TEST(Membership, AMemberWhoseConnectionBrokeButWhoBeatsStays) {
  Trial run;
  run.AllTrain();
  run.Happens(Disconnect{2, Trial::Process(2)});
  run.Pass(60, {0, 1, 2, 3});
  EXPECT_EQ(run.ToldTo(0).epoch, 1);
}

TEST(Membership, TheEndOfAnotherProcessesConnectionMeansNothing) {
  Trial run;
  run.AllTrain();
  run.Happens(Disconnect{2, 999});
  run.Happens(Disconnect{77, 1});
  EXPECT_THAT(run.Picture().waiting_for, IsEmpty());
}

TEST(Membership, EvaluationAndCheckpointsMayBeSilentForLonger) {
  for (const Phase phase : {Phase::kEvaluation, Phase::kCheckpoint, Phase::kFinish}) {
    Trial run;
    run.AllTrain();
    Beat beat = run.BeatOf(2, 1);
    beat.phase = phase;
    run.Happens(beat);
    run.Pass(29.9, {0, 1, 3});
    EXPECT_EQ(run.ToldTo(0).epoch, 1) << Name(phase);
    run.Pass(0.3, {0, 1, 3});
    EXPECT_EQ(run.ToldTo(0).epoch, 2) << Name(phase);
  }
}

TEST(Membership, AFailureIsALossAtOnce) {
  Trial run;
  run.AllTrain();
  run.Happens(Leave{2, Trial::Process(2), LeaveKind::kFailed, "disk full"});
  EXPECT_EQ(run.ToldTo(0).verdict, Verdict::kRegroup);
  EXPECT_THAT(run.ToldTo(0).reason, HasSubstr("member 2 on host-2 (process 4002) failed: disk full"));
}

TEST(Membership, WhenTheLastSurvivorIsLostTheRunEnds) {
  Trial run({.members = 2, .on_loss = OnLoss::kContinue});
  run.AllTrain();
  run.Pass(11, {0});
  EXPECT_THAT(run.ToldTo(0).members, ElementsAre(0)) << "one member may finish alone";
  run.Pass(11, {});
  EXPECT_EQ(run.Picture().outcome, "ended");
  EXPECT_THAT(run.Picture().reason, HasSubstr("nobody is left"));
}

TEST(Membership, ALossBeforeTheGroupIsCompleteEndsTheRun) {
  Trial run;
  run.Happens(run.JoinOf(0));
  run.Happens(run.JoinOf(1));
  run.Happens(Disconnect{1, Trial::Process(1)});
  run.Pass(4, {0}, 0);
  EXPECT_EQ(run.ToldTo(0).verdict, Verdict::kEnd);
  EXPECT_THAT(run.ToldTo(0).reason, HasSubstr("the group was not complete yet"));
}

TEST(Membership, MembersThatLeaveInOrderAreNotLostAndTheLastOneFinishesTheRun) {
  Trial run;
  run.AllTrain();
  for (int member = 0; member < 3; ++member)
    run.Happens(Leave{member, Trial::Process(member), LeaveKind::kDone, "finished"});
  run.Pass(60, {3});
  EXPECT_EQ(run.ToldTo(3).verdict, Verdict::kGoOn);
  run.Happens(Leave{3, Trial::Process(3), LeaveKind::kDone, "finished"});
  EXPECT_EQ(run.Picture().outcome, "finished");
  EXPECT_EQ(run.Count(Kind::kLost), 0);
}

TEST(Membership, RegroupingDoesNotWaitForOneThatLeftMeanwhile) {
  Trial run;
  run.AllTrain();
  run.Pass(11, {0, 1, 3});
  run.AllBeat({0, 1}, 9, 2);
  run.Happens(Leave{3, Trial::Process(3), LeaveKind::kInterrupted, "SIGINT"});
  EXPECT_EQ(run.ToldTo(0).verdict, Verdict::kGoOn);
  EXPECT_THAT(run.ToldTo(0).members, ElementsAre(0, 1));
}

TEST(Membership, FailuresAfterTheEndOfTheRunLoseNobodyElse) {
  Trial run(kAbort);
  run.AllTrain();
  run.Pass(11, {0, 1, 3});
  const std::string reason = run.Picture().reason;
  run.Happens(Leave{0, Trial::Process(0), LeaveKind::kFailed, reason});
  EXPECT_EQ(run.Count(Kind::kLost), 1);
  EXPECT_EQ(run.Picture().reason, reason);
}

TEST(Membership, ACoordinatorThatSleptItselfBlamesNobody) {
  Trial run;
  run.AllTrain();
  run.Pass(1, {0, 1, 2, 3});
  run.Sleep(60);
  run.Happens(Tick{});
  EXPECT_EQ(run.ToldTo(0).epoch, 1);
  run.Pass(5, {0, 1, 2, 3});
  EXPECT_EQ(run.ToldTo(0).epoch, 1);
  run.Pass(11, {0, 1, 2});
  EXPECT_EQ(run.ToldTo(0).epoch, 2) << "who stays silent afterwards is lost as usual";
}

TEST(Membership, EventsOfStrangersChangeNothing) {
  Trial run;
  run.Happens(run.BeatOf(0, 1));
  EXPECT_EQ(run.ToldTo(0).verdict, Verdict::kJoinAgain);
  run.AllTrain();
  Beat beat = run.BeatOf(2, 9999);
  beat.incarnation = 1;
  run.Happens(beat);
  run.Happens(Leave{2, 1, LeaveKind::kFailed, "a forgery"});
  run.Happens(Leave{-5, 1, LeaveKind::kFailed, "a forgery"});
  EXPECT_EQ(run.Picture().members[2].step, 1);
  EXPECT_EQ(run.ToldTo(0).epoch, 1);
}

}  // namespace
}  // namespace basin::coordinator
