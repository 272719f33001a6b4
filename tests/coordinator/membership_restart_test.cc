// What a restarted coordinator learns from the members that join again.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/coordinator/trial.h"

namespace basin::coordinator {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

/// The join of a member that remembers what it was told last.
Join AgainOf(const Trial& run, int member, const Directive& remembered, int64_t step) {
  Join join = run.JoinOf(member);
  join.again = true;
  join.epoch = remembered.epoch;
  join.group = remembered.members;
  join.agreed_step = remembered.step;
  join.step = step;
  return join;
}

class Restart : public testing::Test {
 protected:
  // Four members trained, member 2 was lost, the others agreed on step 120 in epoch 2 and went on to 150.
  void SetUp() override {
    run_.AllTrain(120);
    run_.Pass(11, {0, 1, 3}, 120);
    run_.AllBeat({0, 1, 3}, 120, 2);
    known_ = run_.ToldTo(0);
    ASSERT_EQ(known_.epoch, 2);
    run_.RestartCoordinator();
  }
  Outcome JoinsAgain(int member) { return run_.Happens(AgainOf(run_, member, known_, 150)); }

  Trial run_;
  Directive known_;
};

TEST_F(Restart, AMemberThatIsNotKnownIsAskedToJoinAgain) {
  run_.Happens(run_.BeatOf(0, 150));
  EXPECT_EQ(run_.ToldTo(0).verdict, Verdict::kJoinAgain);
}

TEST_F(Restart, TheFirstThatComesBackBringsEpochGroupAndStep) {
  JoinsAgain(3);
  EXPECT_EQ(run_.ToldTo(3).verdict, Verdict::kGoOn);
  EXPECT_EQ(run_.ToldTo(3).epoch, 2);
  EXPECT_EQ(run_.ToldTo(3).step, 120);
  EXPECT_THAT(run_.ToldTo(3).members, ElementsAre(0, 1, 3));
  EXPECT_THAT(run_.Picture().waiting_for, ElementsAre(0, 1));
}

TEST_F(Restart, WhenAllAreBackTheRunGoesOnAsIfNothingHadHappened) {
  for (const int member : {3, 0, 1}) JoinsAgain(member);
  run_.Pass(20, {0, 1, 3}, 200);
  EXPECT_EQ(run_.ToldTo(1).epoch, 2);
  EXPECT_THAT(run_.Picture().waiting_for, IsEmpty());
}

TEST_F(Restart, AMemberThatHadBeenPutOutStaysOut) {
  JoinsAgain(0);
  EXPECT_FALSE(run_.Happens(AgainOf(run_, 2, {.epoch = 1, .members = {0, 1, 2, 3}, .step = 0}, 120)).accepted);
  EXPECT_EQ(run_.ToldTo(2).verdict, Verdict::kPutOut);
}

TEST_F(Restart, AMemberThatHadBeenPutOutIsFoundOutEvenWhenItComesFirst) {
  EXPECT_TRUE(run_.Happens(AgainOf(run_, 2, {.epoch = 1, .members = {0, 1, 2, 3}, .step = 0}, 120)).accepted);
  JoinsAgain(0);
  EXPECT_EQ(run_.ToldTo(2).verdict, Verdict::kPutOut);
  EXPECT_EQ(run_.ToldTo(0).epoch, 2);
}

TEST_F(Restart, WhoDoesNotComeBackIsLostLikeAnyOther) {
  JoinsAgain(0);
  JoinsAgain(3);
  run_.Pass(10.5, {0, 3}, 150);
  EXPECT_EQ(run_.ToldTo(0).epoch, 3);
  EXPECT_THAT(run_.ToldTo(0).members, ElementsAre(0, 3));
  EXPECT_THAT(run_.ToldTo(0).reason, HasSubstr("member 1 did not come back"));
}

TEST_F(Restart, AnAgreementThatOneMemberKnowsIsGivenToTheOthers) {
  Directive half = known_;
  half.step = -1;  // member 1 was still waiting for it
  run_.Happens(AgainOf(run_, 1, half, 119));
  EXPECT_EQ(run_.ToldTo(1).verdict, Verdict::kRegroup);
  JoinsAgain(0);
  EXPECT_EQ(run_.ToldTo(1).verdict, Verdict::kGoOn);
  EXPECT_EQ(run_.ToldTo(1).step, 120);
}

TEST_F(Restart, ANewProcessCannotSlipInMeanwhile) {
  JoinsAgain(0);
  EXPECT_THAT(run_.Happens(run_.JoinOf(1)).reason, HasSubstr("under way"));
}

TEST_F(Restart, AMemberOfTheSameRunThatHadSeenNoGroupYetIsTakenBack) {
  JoinsAgain(0);
  EXPECT_TRUE(run_.Happens(AgainOf(run_, 1, {}, 0)).accepted);
  EXPECT_EQ(run_.ToldTo(1).verdict, Verdict::kGoOn);
}

TEST_F(Restart, ImpossibleMemoriesAreRefused) {
  Directive odd = known_;
  odd.members = {0, 1, 9};
  EXPECT_FALSE(run_.Happens(AgainOf(run_, 0, odd, 150)).accepted);
  odd.members = {1, 3};
  EXPECT_FALSE(run_.Happens(AgainOf(run_, 0, odd, 150)).accepted) << "a group without the one that tells of it";
  odd.members = {3, 1, 0};
  EXPECT_FALSE(run_.Happens(AgainOf(run_, 0, odd, 150)).accepted);
  odd = known_;
  odd.epoch = int64_t{1} << 40;
  EXPECT_FALSE(run_.Happens(AgainOf(run_, 0, odd, 150)).accepted);
}

TEST(RunningCoordinator, AnEpochThatItNeverDecidedIsRefused) {
  Trial run;
  run.AllTrain();
  const Outcome outcome = run.Happens(AgainOf(run, 1, {.epoch = 9, .members = {1}, .step = 0}, 5));
  EXPECT_THAT(outcome.reason, HasSubstr("never decided here"));
  EXPECT_EQ(run.ToldTo(0).epoch, 1);
}

}  // namespace
}  // namespace basin::coordinator
