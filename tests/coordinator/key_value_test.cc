#include "coordinator/key_value.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/limits.h"

namespace basin::coordinator {
namespace {

using testing::HasSubstr;

TEST(KeyValueStore, KeepsBytesAsTheyAre) {
  KeyValueStore store;
  const std::string bytes("\0\xff id", 5);
  EXPECT_EQ(store.Put("epoch 1/nccl", bytes), "");
  EXPECT_EQ(store.Get("epoch 1/nccl"), bytes);
  EXPECT_EQ(store.Get("epoch 2/nccl"), std::nullopt);
}

TEST(KeyValueStore, AKeyIsWrittenOnceAndARepeatIsHarmless) {
  KeyValueStore store;
  store.Put("a", "1");
  EXPECT_EQ(store.Put("a", "1"), "");
  EXPECT_THAT(store.Put("a", "2"), HasSubstr("with another value"));
  EXPECT_EQ(store.Get("a"), "1");
}

TEST(KeyValueStore, SizesAndCountsAreBounded) {
  KeyValueStore store;
  EXPECT_NE(store.Put("", "x"), "");
  EXPECT_NE(store.Put(std::string(kMaxKeyBytes + 1, 'k'), "x"), "");
  EXPECT_NE(store.Put("k", std::string(kMaxValueBytes + 1, 'v')), "");
  for (size_t i = 0; i < kMaxKeys; ++i) ASSERT_EQ(store.Put(std::to_string(i), ""), "");
  EXPECT_THAT(store.Put("one more", ""), HasSubstr("the most that are kept"));
}

TEST(KeyValueStore, AllValuesTogetherAreBounded) {
  KeyValueStore store;
  const std::string largest(kMaxValueBytes, 'v');
  int stored = 0;
  while (store.Put(std::to_string(stored), largest).empty()) ++stored;
  EXPECT_EQ(stored, static_cast<int>(kMaxStoreBytes / kMaxValueBytes) - 1) << "the keys count too";
}

}  // namespace
}  // namespace basin::coordinator
