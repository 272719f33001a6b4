// The picture that people get: who is waited for, and why.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/coordinator/trial.h"

namespace basin::coordinator {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(StatusOf, AnEmptyCoordinatorSaysSo) {
  const Status picture = StatusOf({}, Time{0});
  EXPECT_THAT(picture.members, IsEmpty());
  EXPECT_EQ(picture.reason, "no member has joined yet");
  EXPECT_EQ(picture.outcome, "waiting");
}

TEST(StatusOf, BeforeTheGroupIsCompleteTheAbsentOnesAreWaitedFor) {
  Trial run;
  run.Happens(run.JoinOf(1));
  EXPECT_THAT(run.Picture().waiting_for, ElementsAre(0, 2, 3));
  EXPECT_EQ(run.Picture().members[0].state, "awaited");
  EXPECT_EQ(run.Picture().members[0].silent_s, -1);
  EXPECT_EQ(run.Picture().members[1].state, "start-up");
}

TEST(StatusOf, AHealthyMemberIsNotWaitedFor) {
  Trial run;
  run.AllTrain(120);
  run.Pass(8, {0, 1, 2, 3}, 120);
  const Status picture = run.Picture();
  EXPECT_THAT(picture.waiting_for, IsEmpty());
  EXPECT_EQ(picture.members[2].state, "training");
  EXPECT_EQ(picture.members[2].step, 120);
  EXPECT_LE(picture.members[2].silent_s, 2.0);
  EXPECT_NEAR(picture.members[2].member_for_s, 8.0, 1e-9);
  EXPECT_EQ(picture.outcome, "running");
}

TEST(StatusOf, AMemberThatMissesABeatIsWaitedForLongBeforeItIsLost) {
  Trial run;
  run.AllTrain();
  run.Pass(4, {0, 1, 3});
  EXPECT_THAT(run.Picture().waiting_for, ElementsAre(2));
  EXPECT_THAT(run.Picture().members[2].note, HasSubstr("missed a beat"));
  EXPECT_NEAR(run.Picture().members[2].silent_s, 4.0, 1e-9);
}

TEST(StatusOf, OfThoseWithoutProgressTheOneFurthestBehindIsNamed) {
  Trial run;
  run.AllTrain(120);
  run.AllBeat({2}, 119);
  for (int second = 0; second < 32; second += 2) {
    run.Pass(2, {});
    run.AllBeat({0, 1, 3}, 120);
    run.AllBeat({2}, 119);
  }
  EXPECT_THAT(run.Picture().waiting_for, ElementsAre(2));
  EXPECT_THAT(run.Picture().members[2].note, HasSubstr("no progress"));
  EXPECT_EQ(run.Picture().members[2].operation, "exchange wash");
  EXPECT_GE(run.Picture().members[2].operation_s, 30);
}

TEST(StatusOf, ALostMemberIsShownWithItsReasonAndNoLongerWaitedFor) {
  Trial run;
  run.AllTrain(120);
  run.Pass(11, {0, 1, 3}, 120);
  run.AllBeat({0, 1, 3}, 120, 2);
  const Status picture = run.Picture();
  EXPECT_THAT(picture.waiting_for, IsEmpty());
  EXPECT_EQ(picture.members[2].state, "lost");
  EXPECT_THAT(picture.members[2].note, HasSubstr("was silent for 10.1 s"));
  EXPECT_EQ(picture.step, 120);
  EXPECT_EQ(picture.epoch, 2);
}

TEST(StatusOf, AfterTheEndNobodyIsWaitedFor) {
  Trial run({.members = 4, .on_loss = OnLoss::kAbort});
  run.AllTrain();
  run.Pass(60, {0});
  EXPECT_THAT(run.Picture().waiting_for, IsEmpty());
  EXPECT_EQ(run.Picture().outcome, "ended");
}

TEST(Listed, LongListsAreCut) {
  EXPECT_EQ(Listed({}), "");
  EXPECT_EQ(Listed({0, 2}), "0, 2");
  EXPECT_EQ(Listed({0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}), "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 ... (12 in all)");
}

}  // namespace
}  // namespace basin::coordinator
