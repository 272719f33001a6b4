// Real data sets beside the repository, for tests that skip without them.
#pragma once

#include <filesystem>
#include <string>

namespace basin::test {

inline std::filesystem::path SharedData(const std::string& name) {
  return std::filesystem::path(BASIN_SOURCE_DIR) / ".." / "shared" / "data" / name;
}

}  // namespace basin::test

/// Skips the test unless ../shared/data/<name> is there.
#define BASIN_REQUIRE_SHARED_DATA(name)                                    \
  if (!std::filesystem::is_directory(::basin::test::SharedData(name))) {   \
    GTEST_SKIP() << ::basin::test::SharedData(name) << " is not there";    \
  }                                                                        \
  static_assert(true)
