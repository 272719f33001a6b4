#include "report/live_lines.h"

#include <gtest/gtest.h>

#include <sstream>

namespace basin::report {
namespace {

TEST(LiveLines, DrawTheBlockAnewBelowTheLinesThatStay) {
  std::ostringstream out;
  {
    LiveLines lines(out, 80);
    lines.Show({"a 1", "b 1"});
    lines.Print("done");
    lines.Show({"a 2"});
  }
  EXPECT_EQ(out.str(), "a 1\nb 1\n"
                       "\x1b[2A\r\x1b[J" "done\na 1\nb 1\n"
                       "\x1b[2A\r\x1b[J" "a 2\n"
                       "\x1b[1A\r\x1b[J");
}

TEST(LiveLines, AnUnchangedBlockIsNotDrawnAgain) {
  std::ostringstream out;
  LiveLines lines(out, 80);
  lines.Show({"a"});
  lines.Show({"a"});
  EXPECT_EQ(out.str(), "a\n");
}

TEST(LiveLines, WithoutATerminalOnlyLinesThatStayArePrinted) {
  std::ostringstream out;
  {
    LiveLines lines(out, 0);
    lines.Show({"a"});
    lines.Print("done");
  }
  EXPECT_EQ(out.str(), "done\n");
}

TEST(LiveLines, ALineThatWouldWrapIsCut) {
  std::ostringstream out;
  LiveLines lines(out, 6);
  lines.Show({"0123456789"});
  EXPECT_EQ(out.str(), "01234\n");
}

}  // namespace
}  // namespace basin::report
