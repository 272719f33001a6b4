#include "trainer/checkpoint/background_writer.h"

#include <gtest/gtest.h>

#include <future>
#include <stdexcept>
#include <vector>

namespace basin::trainer {
namespace {

using namespace std::chrono_literals;

TEST(BackgroundWriter, DoesItsJobsInOrder) {
  BackgroundWriter writer;
  std::vector<int> done;
  for (int k = 0; k < 5; ++k) writer.Post([&done, k] { done.push_back(k); });
  EXPECT_TRUE(writer.WaitFor(60s));
  EXPECT_EQ(done, (std::vector<int>{0, 1, 2, 3, 4}));
  EXPECT_EQ(writer.failure(), nullptr);
}

TEST(BackgroundWriter, DoesNotHoldUpTheOneWhoPosts) {
  BackgroundWriter writer;
  std::promise<void> gate;
  writer.Post([&] { gate.get_future().wait(); });
  EXPECT_FALSE(writer.Idle());
  EXPECT_FALSE(writer.WaitFor(0ms));
  gate.set_value();
  EXPECT_TRUE(writer.WaitFor(60s));
  EXPECT_TRUE(writer.Idle());
}

TEST(BackgroundWriter, KeepsTheFirstFailureAndBeginsNothingAfterIt) {
  BackgroundWriter writer;
  bool later = false;
  std::promise<void> gate;
  writer.Post([&] {
    gate.get_future().wait();
    throw std::runtime_error("disk full");
  });
  writer.Post([&] { later = true; });
  gate.set_value();
  EXPECT_TRUE(writer.WaitFor(60s));
  writer.Post([&] { later = true; });
  EXPECT_TRUE(writer.WaitFor(60s));
  EXPECT_FALSE(later);
  try {
    std::rethrow_exception(writer.failure());
  } catch (const std::runtime_error& failure) {
    EXPECT_STREQ(failure.what(), "disk full");
  }
}

TEST(BackgroundWriter, EndsWithAJobInHand) {
  bool done = false;
  std::promise<void> begun;
  {
    BackgroundWriter writer;
    writer.Post([&] {
      begun.set_value();
      done = true;
    });
    begun.get_future().wait();
  }
  EXPECT_TRUE(done);
}

}  // namespace
}  // namespace basin::trainer
