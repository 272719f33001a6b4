// Nothing of a run's end is used unchecked.
#include "coordinator/wire_finish.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "coordinator/limits.h"
#include "tests/support/message_of.h"

namespace basin::coordinator {
namespace {

using testing::HasSubstr;

const Caller kCaller{3, 77};

wire::WeightsQuery Query() {
  wire::WeightsQuery query;
  *query.mutable_caller() = ToWire(kCaller);
  query.set_name("members/003.safetensors");
  query.set_total_bytes(100);
  return query;
}

TEST(WireOfTheEnd, AQueryArrivesAsItWasSentAndItsFieldsAreChecked) {
  wire::WeightsQuery query = Query();
  EXPECT_EQ(FromWire(query).caller.member, 3);
  EXPECT_EQ(FromWire(query).whole.bytes, 100);
  query.set_total_bytes(-1);
  EXPECT_THAT(test::MessageOf<Refused>([&] { FromWire(query); }), HasSubstr("total_bytes is -1"));
  query.set_total_bytes(kMaxWeightsBytes + 1);
  EXPECT_THROW(FromWire(query), Refused);
  query = Query();
  query.set_offset(-1);
  EXPECT_THAT(test::MessageOf<Refused>([&] { FromWire(query); }), HasSubstr("offset is -1"));
  query = Query();
  query.set_name(std::string(300, 'n'));
  EXPECT_THAT(test::MessageOf<Refused>([&] { FromWire(query); }), HasSubstr("name has 300 bytes"));
  query = Query();
  query.clear_caller();
  EXPECT_THROW(FromWire(query), Refused);
}

TEST(WireOfTheEnd, AStreamMustSayWhatItBrings) {
  wire::WeightsChunk chunk;
  *chunk.mutable_caller() = ToWire(kCaller);
  EXPECT_THAT(test::MessageOf<Refused>([&] { FromWire(chunk); }), HasSubstr("the first chunk of a stream"));
}

TEST(WireOfTheEnd, AnAverageArrivesAsItWasSentAndItsFieldsAreChecked) {
  const AverageJob job{
      .members = {2, 0}, .method = AverageJob::Method::kWeighted, .weights = {1, 0.5}, .name = "a.safetensors"};
  EXPECT_EQ(FromWire(ToWire(kCaller, job)), job);
  const AverageJob trimmed{
      .members = {0, 1, 2}, .method = AverageJob::Method::kTrimmed, .trim = 0.25, .name = "b.safetensors"};
  EXPECT_EQ(FromWire(ToWire(kCaller, trimmed)), trimmed);
  wire::AverageRequest request = ToWire(kCaller, job);
  request.clear_method();
  EXPECT_THAT(test::MessageOf<Refused>([&] { FromWire(request); }), HasSubstr("method is 0; allowed: 1 to 4"));
  request = ToWire(kCaller, job);
  for (const double trim : {-0.1, 0.6, std::nan("")}) {
    request.set_trim(trim);
    EXPECT_THAT(test::MessageOf<Refused>([&] { FromWire(request); }), HasSubstr("trim is"));
  }
  request = ToWire(kCaller, {.members = std::vector<int>(kMaxMembers + 1), .name = "a.safetensors"});
  EXPECT_THAT(test::MessageOf<Refused>([&] { FromWire(request); }), HasSubstr("4097 members"));
}

TEST(WireOfTheEnd, TasksArriveAsTheyWereSentWhateverBytesTheyAre) {
  const TaskList list{.works = {"a", std::string("\0\xff", 2), ""}, .deadline_s = 2.5};
  EXPECT_EQ(FromWire(ToWire(kCaller, list)), list);
  const FetchedTask fetched{FetchedTask::Kind::kGiven, {7, "w\xff"}, {9, 3, 1}};
  const FetchedTask there = FromWire(ToWire(fetched));
  EXPECT_EQ(there.kind, fetched.kind);
  EXPECT_EQ(there.task.id, 7);
  EXPECT_EQ(there.task.work, "w\xff");
  EXPECT_EQ(there.progress, fetched.progress);
}

TEST(WireOfTheEnd, TheLongestListAndTheLongestResultFitIntoAMessage) {
  const TaskList list{.works = std::vector<std::string>(kMaxTasks, std::string(kMaxWorksBytes / kMaxTasks, 'x')),
                      .deadline_s = 1};
  EXPECT_LT(ToWire(kCaller, list).ByteSizeLong(), static_cast<size_t>(kMaxMessageBytes));
  wire::PostTasksRequest request = ToWire(kCaller, list);
  request.add_works("one more");
  EXPECT_THAT(test::MessageOf<Refused>([&] { FromWire(request); }), HasSubstr("65537 tasks"));
  wire::ReturnTaskRequest result;
  for (size_t i = 0; i <= kMaxTaskValues; ++i) result.add_values(1);
  EXPECT_THAT(test::MessageOf<Refused>([&] { FromWire(result); }), HasSubstr("4097 values"));
}

TEST(WireOfTheEnd, AnAnswerThatNoCoordinatorGivesIsAnError) {
  EXPECT_THROW(FromWire(wire::AverageReply{}), CommError);
  EXPECT_THROW(FromWire(wire::FetchTaskReply{}), CommError);
  wire::WeightsReceipt receipt;
  receipt.set_held_bytes(-5);
  EXPECT_THROW(FromWire(receipt), CommError);
}

}  // namespace
}  // namespace basin::coordinator
