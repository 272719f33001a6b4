#include "base/memory.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cstddef>
#include <cstdlib>
#include <thread>

namespace basin::base {
namespace {

// g++ defines a macro under a sanitizer, clang has a feature.
#if defined(__has_feature)
#define BASIN_HAS_SANITIZER (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#else
#define BASIN_HAS_SANITIZER 0
#endif
#if !defined(__GLIBC__) || defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || BASIN_HAS_SANITIZER
constexpr bool kGlibcAllocates = false;
#else
constexpr bool kGlibcAllocates = true;
#endif

constexpr size_t kBlockBytes = size_t{96} << 20;  // more than malloc's default keeps
constexpr size_t kPageBytes = 4096;

long PageFaults() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_minflt;
}

void UseBlock() {
  auto* block = static_cast<volatile std::byte*>(std::malloc(kBlockBytes));
  ASSERT_NE(block, nullptr);
  for (size_t i = 0; i < kBlockBytes; i += kPageBytes) block[i] = std::byte{1};
  std::free(const_cast<std::byte*>(block));
}

long FaultsOfASecondUse() {
  UseBlock();
  const long before = PageFaults();
  UseBlock();
  return PageFaults() - before;
}

// 1 % of the pages: what else the process may touch meanwhile.
constexpr long kAllowedFaults = static_cast<long>(kBlockBytes / kPageBytes / 100);

TEST(KeepFreedMemory, LetsALargeBlockBeUsedAgainWithoutPageFaults) {
  if (!kGlibcAllocates) GTEST_SKIP() << "the allocator is not glibc's";
  KeepFreedMemory();
  EXPECT_LT(FaultsOfASecondUse(), kAllowedFaults);
}

TEST(KeepFreedMemory, HoldsForThreadsToo) {
  if (!kGlibcAllocates) GTEST_SKIP() << "the allocator is not glibc's";
  KeepFreedMemory();
  long faults = kAllowedFaults;
  std::thread([&] { faults = FaultsOfASecondUse(); }).join();
  EXPECT_LT(faults, kAllowedFaults);
}

}  // namespace
}  // namespace basin::base
