#include "base/host.h"

#include <gtest/gtest.h>
#include <sys/utsname.h>

namespace basin::base {
namespace {

TEST(HostName, IsTheKernelsNodeName) {
  utsname kernel{};
  ASSERT_EQ(uname(&kernel), 0);
  EXPECT_EQ(HostName(), kernel.nodename);
}

}  // namespace
}  // namespace basin::base
