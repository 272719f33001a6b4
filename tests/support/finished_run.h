// One finished run for all tests of a file, and the commands on what it left behind.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/files.h"
#include "base/json.h"
#include "tests/support/command.h"

namespace basin::test {

/// Derive from it and call Train in SetUpTestSuite. One test suite a program: the folder is shared.
class FinishedRun : public testing::Test {
 protected:
  /// `basin train` with these words behind it, into Path("run").
  static void Train(std::vector<std::string> words) {
    folder_ = new base::TemporaryFolder;
    words.insert(words.begin(), "train");
    words.insert(words.end(), {"--quiet", "--run-dir", Path("run")});
    const CommandResult result = RunCommand(Words(std::move(words)));
    ASSERT_EQ(result.exit_code, 0) << result.err;
  }
  static void TearDownTestSuite() { delete folder_; }
  static std::string Path(const std::string& name) { return (folder_->path() / name).string(); }
  static std::string Member(int id) { return Path("run/members/00" + std::to_string(id) + ".safetensors"); }
  static std::vector<std::string> Words(std::vector<std::string> words) {
    words.insert(words.begin(), Program("basin"));
    return words;
  }
  static CommandResult Basin(const std::vector<std::string>& words) { return RunCommand(Words(words)); }
  static base::Json AsJson(const std::vector<std::string>& words) {
    const CommandResult result = Basin(words);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return base::Json::parse(result.out, nullptr, /*allow_exceptions=*/false);
  }

 private:
  static inline base::TemporaryFolder* folder_ = nullptr;
};

}  // namespace basin::test
