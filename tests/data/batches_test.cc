#include "data/batches.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <vector>

#include "base/error.h"
#include "base/seed.h"
#include "tests/support/message_of.h"

namespace basin::data {
namespace {

using testing::AllOf;
using testing::ElementsAreArray;
using testing::HasSubstr;

std::vector<int64_t> Values(const torch::Tensor& x) {
  return {x.const_data_ptr<int64_t>(), x.const_data_ptr<int64_t>() + x.numel()};
}

std::vector<int64_t> Take(Batches& batches, int64_t count) {
  std::vector<int64_t> all;
  for (int64_t i = 0; i < count; ++i) {
    for (int64_t index : Values(batches.Next())) all.push_back(index);
  }
  return all;
}

TEST(Batches, AnEpochVisitsEveryExampleOnce) {
  Batches batches(/*num_examples=*/60, /*batch_size=*/5, /*run_seed=*/3, /*member=*/1);
  ASSERT_EQ(batches.batches_per_epoch(), 12);
  for (int epoch = 0; epoch < 3; ++epoch) {
    const std::vector<int64_t> seen = Take(batches, 12);
    EXPECT_EQ(std::set<int64_t>(seen.begin(), seen.end()).size(), 60u);
    EXPECT_EQ(*std::min_element(seen.begin(), seen.end()), 0);
    EXPECT_EQ(*std::max_element(seen.begin(), seen.end()), 59);
  }
}

TEST(Batches, TheOrderIsThePermutationOfSeedEpochAndMember) {
  Batches batches(10, 4, 77, 2);
  for (uint64_t epoch = 0; epoch < 3; ++epoch) {
    std::vector<int64_t> expected = base::RandomPermutation(
        10, {.run_seed = 77, .purpose = base::Purpose::kDataOrder, .a = epoch, .b = 2});
    expected.resize(8);  // the last two do not fill a batch
    EXPECT_THAT(Take(batches, 2), ElementsAreArray(expected));
  }
}

TEST(Batches, EpochsMembersAndSeedsDiffer) {
  const auto first = [](uint64_t seed, int64_t member) {
    Batches batches(1000, 100, seed, member);
    return Take(batches, 10);
  };
  Batches two_epochs(1000, 100, 1, 0);
  EXPECT_EQ(Take(two_epochs, 10), first(1, 0));
  EXPECT_NE(Take(two_epochs, 10), first(1, 0));
  EXPECT_NE(first(1, 0), first(1, 1));
  EXPECT_NE(first(1, 0), first(2, 0));
}

TEST(Batches, SeekRestoresEveryPosition) {
  Batches straight(23, 5, 9, 0);  // 4 batches an epoch, 3 examples dropped
  for (int64_t step = 0; step < 13; ++step) {
    const Batches::Cursor cursor = straight.cursor();
    EXPECT_EQ(cursor.epoch, step / 4);
    EXPECT_EQ(cursor.batch, step % 4);
    Batches restored(23, 5, 9, 0);
    restored.Next();
    restored.Seek(cursor);
    const std::vector<int64_t> expected = Values(straight.Next());
    EXPECT_EQ(Values(restored.Next()), expected) << "step " << step;
    EXPECT_EQ(restored.cursor().epoch, straight.cursor().epoch);
    EXPECT_EQ(restored.cursor().batch, straight.cursor().batch);
  }
}

TEST(Batches, SeekWorksBackwardsAndBatchesHandedOutStay) {
  Batches batches(8, 4, 1, 0);
  const torch::Tensor first = batches.Next();
  const std::vector<int64_t> copy = Values(first);
  Take(batches, 5);
  batches.Seek({.epoch = 0, .batch = 0});
  EXPECT_EQ(Values(batches.Next()), copy);
  EXPECT_EQ(Values(first), copy);
}

TEST(Batches, ASplitSmallerThanABatchIsOneBatch) {
  Batches batches(3, 128, 1, 0);
  EXPECT_EQ(batches.batches_per_epoch(), 1);
  EXPECT_THAT(Values(batches.Next()), testing::UnorderedElementsAre(0, 1, 2));
  EXPECT_EQ(batches.cursor().epoch, 1);
}

TEST(Batches, ABatchAsLargeAsTheSplitIsAllOfIt) {
  Batches batches(4, 4, 1, 0);
  EXPECT_EQ(batches.batches_per_epoch(), 1);
  EXPECT_THAT(Values(batches.Next()), testing::UnorderedElementsAre(0, 1, 2, 3));
}

TEST(Batches, RefuseAForeignCursorAndABadSize) {
  Batches batches(20, 5, 1, 0);
  EXPECT_THAT(test::MessageOf<DataError>([&] { batches.Seek({.epoch = 0, .batch = 4}); }),
              AllOf(HasSubstr("batch 4"), HasSubstr("[0, 4)"), HasSubstr("another data set or batch size")));
  EXPECT_THROW(batches.Seek({.epoch = -1, .batch = 0}), DataError);
  EXPECT_THROW(batches.Seek({.epoch = 0, .batch = -1}), DataError);
  EXPECT_THAT(test::MessageOf<ConfigError>([] { Batches(20, 0, 1, 0); }), HasSubstr("train.batch_size is 0"));
  EXPECT_THROW(Batches(0, 5, 1, 0), CheckFailed);
}

}  // namespace
}  // namespace basin::data
