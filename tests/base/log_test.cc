#include "base/log.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <set>
#include <sstream>
#include <thread>
#include <vector>

#include "base/error.h"

namespace basin::base {
namespace {

using testing::HasSubstr;
using testing::MatchesRegex;

constexpr char kTime[] = "\\[[0-9]+-[0-9]+-[0-9]+ [0-9]+:[0-9]+:[0-9]+\\.[0-9]+\\]";

enum ExitCode { kPlain = 10, kColoured = 11 };

class Log : public testing::Test {
 protected:
  // The tests read plain lines, also when they are run by hand at a terminal.
  static void SetUpTestSuite() { ::setenv("NO_COLOR", "1", 1); }

  void TearDown() override {
    SetLogLevel(LogLevel::kInfo);
    SetLogPrefix("");
  }

  template <typename Action>
  static std::string StandardErrorOf(Action action) {
    testing::internal::CaptureStderr();
    action();
    return testing::internal::GetCapturedStderr();
  }
};

TEST_F(Log, WritesTimeLevelAndTextOnOneLineWithoutColours) {
  EXPECT_THAT(StandardErrorOf([] { LogWarning("loss is {} 100%"); }),
              MatchesRegex(std::string(kTime) + " \\[warning\\] loss is \\{\\} 100%\n"));
}

TEST_F(Log, PutsThePrefixOfTheThreadBetweenLevelAndText) {
  SetLogPrefix("rank 2");
  EXPECT_THAT(StandardErrorOf([] { LogInfo("ready"); }),
              MatchesRegex(std::string(kTime) + " \\[info\\] \\[rank 2\\] ready\n"));
}

TEST_F(Log, GivesEachThreadItsOwnPrefix) {
  SetLogPrefix("main");
  const std::string output = StandardErrorOf([] {
    std::thread([] {
      LogInfo("no prefix here");
      SetLogPrefix("other");
    }).join();
    LogInfo("still main");
  });
  EXPECT_THAT(output, HasSubstr("[info] no prefix here\n"));
  EXPECT_THAT(output, HasSubstr("[info] [main] still main\n"));
}

TEST_F(Log, KeepsATextWithLineBreaksOnOneLine) {
  EXPECT_THAT(StandardErrorOf([] { LogError("first\nsecond\r"); }),
              HasSubstr("[error] first\\nsecond\\r\n"));
}

TEST_F(Log, ShowsOnlyLevelsAtOrAboveTheThreshold) {
  const auto all = [] {
    LogDebug("D");
    LogInfo("I");
    LogWarning("W");
    LogError("E");
  };
  const auto lines = [&](LogLevel level) {
    SetLogLevel(level);
    std::istringstream output(StandardErrorOf(all));
    std::string letters, line;
    while (std::getline(output, line)) letters += line.back();
    return letters;
  };
  EXPECT_EQ(lines(LogLevel::kDebug), "DIWE");
  EXPECT_EQ(lines(LogLevel::kInfo), "IWE");
  EXPECT_EQ(lines(LogLevel::kWarning), "WE");
  EXPECT_EQ(lines(LogLevel::kError), "E");
  EXPECT_EQ(lines(LogLevel::kOff), "");
}

TEST_F(Log, NeverMixesTheLinesOfSeveralThreads) {
  constexpr int kThreads = 4, kLines = 200;
  const std::string output = StandardErrorOf([] {
    std::vector<std::jthread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([t] {
        SetLogPrefix("rank " + std::to_string(t));
        for (int i = 0; i < kLines; ++i) LogInfo("line " + std::to_string(i) + " end");
      });
    }
  });
  std::istringstream lines(output);
  std::set<std::string> seen;
  for (std::string line; std::getline(lines, line);) {
    ASSERT_THAT(line,
                MatchesRegex(std::string(kTime) + " \\[info\\] \\[rank [0-9]\\] line [0-9]+ end"));
    seen.insert(line.substr(line.find("[rank")));
  }
  EXPECT_EQ(seen.size(), size_t{kThreads * kLines});
}

// Logs one line to a terminal of its own, in a fresh process; the exit code says whether it had
// colours.
[[noreturn]] void LogToATerminalAndExit(const char* no_color) {
  const int master = ::posix_openpt(O_RDWR | O_NOCTTY);
  if (master < 0 || ::grantpt(master) != 0 || ::unlockpt(master) != 0) std::exit(1);
  const int terminal = ::open(::ptsname(master), O_RDWR | O_NOCTTY);
  if (terminal < 0 || ::dup2(terminal, STDERR_FILENO) < 0) std::exit(1);
  ::setenv("TERM", "xterm-256color", 1);
  ::setenv("NO_COLOR", no_color, 1);
  LogInfo("text");
  std::string line;
  char piece[4096];
  while (line.find('\n') == std::string::npos) {  // a terminal hands over a line in as many pieces as it was written in
    const ssize_t count = ::read(master, piece, sizeof piece);
    if (count <= 0) std::exit(1);
    line.append(piece, static_cast<size_t>(count));
  }
  if (line.find("text") == std::string::npos) std::exit(1);
  std::exit(line.find('\x1b') == std::string::npos ? kPlain : kColoured);
}

TEST(LogColours, AppearAtATerminalUnlessNoColorIsSetToSomething) {
  // "threadsafe" starts this program anew, so that its logger meets the terminal at its first line.
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(LogToATerminalAndExit(""), testing::ExitedWithCode(kColoured), "");
  EXPECT_EXIT(LogToATerminalAndExit("1"), testing::ExitedWithCode(kPlain), "");
}

TEST(ParseLogLevel, KnowsTheFiveNames) {
  EXPECT_EQ(ParseLogLevel("debug"), LogLevel::kDebug);
  EXPECT_EQ(ParseLogLevel("info"), LogLevel::kInfo);
  EXPECT_EQ(ParseLogLevel("warning"), LogLevel::kWarning);
  EXPECT_EQ(ParseLogLevel("error"), LogLevel::kError);
  EXPECT_EQ(ParseLogLevel("off"), LogLevel::kOff);
}

TEST(ParseLogLevel, NamesTheAllowedAndTheNearestForAnythingElse) {
  try {
    ParseLogLevel("warnin");
    FAIL() << "must throw";
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(), HasSubstr("'warnin'"));
    EXPECT_THAT(error.what(), HasSubstr("debug, info, warning, error, off"));
    EXPECT_THAT(error.what(), HasSubstr("Did you mean 'warning'?"));
  }
  EXPECT_THROW(ParseLogLevel(""), ConfigError);
  EXPECT_THROW(ParseLogLevel("INFO"), ConfigError);
}

}  // namespace
}  // namespace basin::base
