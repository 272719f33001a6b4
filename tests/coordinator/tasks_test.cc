#include "coordinator/tasks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "coordinator/limits.h"

namespace basin::coordinator {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using Kind = FetchedTask::Kind;

const TaskList kThree{.works = {"a", "b", "c"}, .deadline_s = 10};

TEST(Tasks, AreHandedOutInOrderAndTheResultsLieInTheirOrder) {
  TaskBoard board;
  EXPECT_EQ(board.Fetch(0, 0s).kind, Kind::kNoList);
  EXPECT_EQ(board.Post(kThree), "");
  EXPECT_EQ(board.Fetch(5, 0s).task.work, "a");
  EXPECT_EQ(board.Fetch(1, 0s).task.work, "b");
  EXPECT_EQ(board.Fetch(7, 0s).task.id, 2);
  EXPECT_EQ(board.Fetch(2, 0s).kind, Kind::kNoneOpen);
  board.Return(7, 2, {3});
  board.Return(1, 1, {2, 2});
  EXPECT_THAT(board.results(), IsEmpty());
  EXPECT_EQ(board.progress(), (TaskProgress{3, 2, 1}));
  board.Return(5, 0, {});
  EXPECT_EQ(board.Fetch(2, 0s).kind, Kind::kAllDone);
  EXPECT_THAT(board.results(), ElementsAre(IsEmpty(), ElementsAre(2, 2), ElementsAre(3)));
}

TEST(Tasks, AMemberThatAsksTwiceKeepsItsTask) {
  TaskBoard board;
  board.Post(kThree);
  EXPECT_EQ(board.Fetch(0, 0s).task.id, 0);
  EXPECT_EQ(board.Fetch(0, 9s).task.id, 0);
  EXPECT_EQ(board.progress().held, 1);
  EXPECT_EQ(board.TakeBackLate(11s).size(), 1U);  // counted from the first time
}

TEST(Tasks, TheFirstListStays) {
  TaskBoard board;
  EXPECT_EQ(board.Post(kThree), "");
  EXPECT_EQ(board.Post(kThree), "");
  TaskList other = kThree;
  other.works[1] = "x";
  EXPECT_THAT(board.Post(other), HasSubstr("differs from it"));
  other = kThree;
  other.deadline_s = 11;
  EXPECT_THAT(board.Post(other), HasSubstr("differs from it"));
  EXPECT_EQ(board.Fetch(0, 0s).task.work, "a");
}

TEST(Tasks, TheTaskOfAMemberThatIsGoneIsTheNextOne) {
  TaskBoard board;
  board.Post(kThree);
  board.Fetch(0, 0s);
  board.Fetch(1, 0s);
  EXPECT_EQ(board.GiveBack(0), 0);
  EXPECT_EQ(board.GiveBack(0), std::nullopt);
  EXPECT_EQ(board.Fetch(2, 1s).task.id, 0);
  EXPECT_EQ(board.Fetch(3, 1s).task.id, 2);
}

TEST(Tasks, WhoeverHoldsATaskForTooLongLosesItButMayStillReturnIt) {
  TaskBoard board;
  board.Post(kThree);
  board.Fetch(0, 0s);
  EXPECT_THAT(board.TakeBackLate(10s), IsEmpty());
  const auto late = board.TakeBackLate(10s + 1ns);
  ASSERT_EQ(late.size(), 1U);
  EXPECT_EQ(late[0].id, 0);
  EXPECT_EQ(late[0].member, 0);
  EXPECT_EQ(board.Fetch(1, 11s).task.id, 0);
  EXPECT_EQ(board.Return(0, 0, {4}).problem, "");  // before member 1
  EXPECT_EQ(board.progress(), (TaskProgress{3, 1, 0}));
  EXPECT_EQ(board.Fetch(1, 11s).task.id, 1);  // it does not go on with what is done
  EXPECT_THAT(board.Return(1, 0, {4}).flaw, IsEmpty());
}

TEST(Tasks, AnotherSecondResultIsFlaggedAndTheFirstStays) {
  TaskBoard board;
  board.Post({.works = {"pair 0 1"}, .deadline_s = 1});
  EXPECT_EQ(board.Return(0, 0, {1, 2}).flaw, "");
  const auto second = board.Return(3, 0, {1, 2.5});
  EXPECT_EQ(second.problem, "");
  EXPECT_THAT(second.flaw, AllOf(HasSubstr("member 3"), HasSubstr("task 0 ('pair 0 1')"), HasSubstr("member 0")));
  EXPECT_THAT(board.results(), ElementsAre(ElementsAre(1, 2)));
}

TEST(Tasks, AValueThatIsNotFiniteIsKeptAndFlagged) {
  TaskBoard board;
  board.Post({.works = {"w"}, .deadline_s = 1});
  EXPECT_THAT(board.Return(0, 0, {1, std::nan("")}).flaw, HasSubstr("nan as value 1 of task 0"));
  EXPECT_THAT(board.Return(0, 0, {1, std::nan("")}).flaw, IsEmpty());  // the same again
  EXPECT_TRUE(std::isnan(board.results()[0][1]));
}

TEST(Tasks, WhatIsTooMuchOrOutOfRangeIsRefused) {
  const auto problem = [](TaskList list) { return TaskBoard().Post(list); };
  EXPECT_THAT(problem({.works = {}, .deadline_s = 1}), HasSubstr("a list of 0 tasks"));
  EXPECT_THAT(problem({.works = std::vector<std::string>(kMaxTasks + 1), .deadline_s = 1}), HasSubstr("65537 tasks"));
  EXPECT_THAT(problem({.works = {"a", std::string(kMaxWorkBytes + 1, 'x')}, .deadline_s = 1}), HasSubstr("task 1"));
  EXPECT_THAT(problem({.works = std::vector<std::string>(600, std::string(1000, 'x')), .deadline_s = 1}),
              HasSubstr("600000 bytes together"));
  for (const double deadline_s : {0.0, -1.0, 1e9, std::nan("")})
    EXPECT_THAT(problem({.works = {"a"}, .deadline_s = deadline_s}), HasSubstr("deadline_s"));
  TaskBoard board;
  EXPECT_THAT(board.Return(0, 0, {1}).problem, HasSubstr("nobody has posted"));
  board.Post(kThree);
  EXPECT_THAT(board.Return(0, 3, {1}).problem, HasSubstr("allowed: 0 to 2"));
  EXPECT_THAT(board.Return(0, -1, {1}).problem, HasSubstr("allowed: 0 to 2"));
  EXPECT_THAT(board.Return(0, 0, std::vector<double>(kMaxTaskValues + 1)).problem, HasSubstr("4097 values"));
  EXPECT_EQ(board.progress().done, 0);
}

TEST(Tasks, AllResultsTogetherAreBounded) {
  TaskBoard board;
  board.Post({.works = std::vector<std::string>(kMaxTaskResults / kMaxTaskValues + 1), .deadline_s = 1});
  const std::vector<double> values(kMaxTaskValues);
  int64_t id = 0;
  while (board.Return(0, id, values).problem.empty()) ++id;
  EXPECT_EQ(id, static_cast<int64_t>(kMaxTaskResults / kMaxTaskValues));
}

}  // namespace
}  // namespace basin::coordinator
