#include "report/progress.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <sstream>

namespace basin::report {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

ProgressState At(int64_t step) {
  return {.step = step, .total_steps = 1000, .epoch = 7, .loss = 0.4123, .bytes_sent = 1'300'000, .members = 4};
}

struct Bench {
  explicit Bench(ProgressOptions options) : progress(out, clock, options) {}
  std::string Take() {
    std::string text = out.str();
    out.str("");
    return text;
  }
  base::ManualClock clock;
  std::ostringstream out;
  Progress progress;
};

TEST(Progress, RedrawsOneLineOnATerminal) {
  Bench bench({.is_terminal = true});
  bench.progress.Update(At(0));
  EXPECT_EQ(bench.Take(), "\rstep 0/1000  0 %  loss 0.412  sent 1.3 MB/rank");
  bench.clock.Advance(seconds(7));
  bench.progress.Update(At(350));
  EXPECT_EQ(bench.Take(), "\rstep 350/1000  35 %  50.0 steps/s  loss 0.412  sent 1.3 MB/rank  ETA 0:13");
  bench.progress.Finish();
  EXPECT_EQ(bench.Take(), "\n");
}

TEST(Progress, DrawsAtMostFiveTimesASecondOnATerminal) {
  Bench bench({.is_terminal = true});
  for (int64_t step = 0; step < 1000; ++step) {
    bench.progress.Update(At(step));
    bench.clock.Advance(milliseconds(10));
  }
  const std::string text = bench.Take();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\r'), 50);  // ten seconds
}

TEST(Progress, DrawsALineForEachMemberBelowTheRunsAndGoesUpToDrawAnew) {
  Bench bench({.is_terminal = true});
  ProgressState state = At(350);
  state.population = {{.id = 0, .step = 350, .doing = "exchange", .steps_per_second = 52.34},
                      {.id = 1, .step = 349, .doing = "step", .silent_s = 3.14, .is_waited_for = true}};
  bench.progress.Update(state);
  const std::string members = "\n  member 1  step 349  step  waited for, silent 3.1 s\x1b[K\n  member 0  step 350  exchange  52.3 steps/s\x1b[K";
  EXPECT_EQ(bench.Take(), "\rstep 350/1000  35 %  loss 0.412  sent 1.3 MB/rank" + members);
  bench.clock.Advance(seconds(1));
  state.population.pop_back();
  bench.progress.Update(state);
  EXPECT_EQ(bench.Take(), "\x1b[2A\rstep 350/1000  35 %  loss 0.412  sent 1.3 MB/rank\n  member 0  step 350  exchange  52.3 steps/s\x1b[K\x1b[J");
  bench.progress.Finish();
  EXPECT_EQ(bench.Take(), "\n");
}

TEST(Progress, CountsMembersThatDoNotFitIntoTheTerminal) {
  Bench bench({.is_terminal = true, .rows = 8});
  ProgressState state = At(0);
  for (int id = 0; id < 40; ++id) state.population.push_back({.id = id, .doing = "step"});
  bench.progress.Update(state);
  const std::string text = bench.Take();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 5);
  EXPECT_NE(text.find("  and 36 members more"), std::string::npos) << text;
}

TEST(Progress, WithAPopulationElsewhereIsStillAPlainLine) {
  Bench bench({.is_terminal = false});
  ProgressState state = At(350);
  state.population = {{.id = 0}};
  bench.progress.Update(state);
  bench.progress.Finish();
  EXPECT_EQ(bench.Take().find("member"), std::string::npos);
}

TEST(Progress, WipesTheRestOfALongerLine) {
  Bench bench({.is_terminal = true});
  ProgressState state = At(0);
  state.loss = 123.456;
  state.members = 1;
  state.step = 10;
  bench.progress.Update(state);
  EXPECT_EQ(bench.Take(), "\rstep 10/1000  1 %  loss 123");
  state.loss = 0.5;
  state.total_steps = 99;
  state.step = 1;
  bench.clock.Advance(seconds(1));
  bench.progress.Update(state);
  EXPECT_EQ(bench.Take(), "\rstep 1/99  1 %  loss 0.500 ");
}

TEST(Progress, StaysWithinTheColumnsOfATerminal) {
  // A line that wraps is not redrawn but repeated.
  const ProgressState long_run{.step = 123'456, .total_steps = 229'800, .epoch = 161, .loss = 0.412, .bytes_sent = 913'300'000, .members = 5};
  Bench terminal({.is_terminal = true}), narrow({.is_terminal = true, .columns = 30}), file({.is_terminal = false});
  for (Bench* bench : {&terminal, &narrow, &file}) {
    ProgressState before = long_run;
    before.step -= 300;
    bench->progress.Update(before);
    bench->Take();
    bench->clock.Advance(seconds(6));
    bench->progress.Update(long_run);
  }
  EXPECT_EQ(terminal.Take(), "\rstep 123456/229800  loss 0.412  sent 913.3 MB/rank  ETA 35:27");
  EXPECT_EQ(narrow.Take(), "\rstep 123456/229800  loss 0.41");  // 29 characters
  EXPECT_EQ(file.Take(),
            "step 123456/229800  53 %  epoch 161  50.0 steps/s  loss 0.412  sent 913.3 MB/rank  ETA 35:27\n");
}

TEST(Progress, PrintsAPlainLineEveryFiveSecondsAndAtTheEndElsewhere) {
  Bench bench({.is_terminal = false});
  for (int64_t step = 0; step <= 122; ++step) {
    bench.progress.Update(At(step));
    if (step < 122) bench.clock.Advance(milliseconds(100));
  }
  EXPECT_EQ(bench.Take(),
            "step 50/1000  5 %  epoch 7  10.0 steps/s  loss 0.412  sent 1.3 MB/rank  ETA 1:35\n"
            "step 100/1000  10 %  epoch 7  10.0 steps/s  loss 0.412  sent 1.3 MB/rank  ETA 1:30\n");
  bench.progress.Finish();
  EXPECT_EQ(bench.Take(), "step 122/1000  12 %  epoch 7  10.0 steps/s  loss 0.412  sent 1.3 MB/rank  ETA 1:28\n");
  bench.progress.Finish();
  EXPECT_EQ(bench.Take(), "");
}

TEST(Progress, MeasuresTheSpeedOfTheLastTenSeconds) {
  Bench bench({.is_terminal = true});
  int64_t step = 0;
  for (int k = 0; k < 100; ++k) {  // 20 s at 5 steps a second
    bench.progress.Update(At(step++));
    bench.clock.Advance(milliseconds(200));
  }
  for (int k = 0; k < 120; ++k) {  // 12 s at 10 steps a second
    bench.progress.Update(At(step++));
    bench.clock.Advance(milliseconds(100));
  }
  bench.Take();
  bench.clock.Advance(milliseconds(100));
  bench.progress.Update(At(step + 1));
  EXPECT_NE(bench.Take().find("  10.0 steps/s"), std::string::npos);
}

TEST(Progress, MeasuresAResumedRunFromWhereItBegan) {
  Bench bench({.is_terminal = true});
  bench.progress.Update(At(900));
  bench.clock.Advance(seconds(1));
  bench.Take();
  bench.progress.Update(At(902));
  EXPECT_NE(bench.Take().find("2.00 steps/s"), std::string::npos);
}

TEST(Progress, ReachesAHundredPercentOnlyAtTheEnd) {
  Bench bench({.is_terminal = true});
  bench.progress.Update(At(999));
  EXPECT_NE(bench.Take().find("  99 %"), std::string::npos);
  bench.clock.Advance(seconds(1));
  bench.progress.Update(At(1000));
  EXPECT_NE(bench.Take().find("  100 %"), std::string::npos);
}

TEST(Progress, SaysNothingWhenQuietOrNeverUpdated) {
  for (const bool is_terminal : {true, false}) {
    Bench quiet({.is_terminal = is_terminal, .quiet = true});
    quiet.progress.Update(At(1));
    quiet.progress.Finish();
    EXPECT_EQ(quiet.Take(), "");
    Bench idle({.is_terminal = is_terminal});
    idle.progress.Finish();
    EXPECT_EQ(idle.Take(), "");
  }
}

TEST(Progress, EndsAnOpenLineWhenItIsDestroyed) {
  std::ostringstream out;
  const base::ManualClock clock;
  { Progress(out, clock, {.is_terminal = true}).Update(At(5)); }
  EXPECT_EQ(out.str().back(), '\n');
}

TEST(FormatBytes, UsesPowersOfAThousand) {
  EXPECT_EQ(FormatBytes(0), "0 B");
  EXPECT_EQ(FormatBytes(999), "999 B");
  EXPECT_EQ(FormatBytes(1000), "1.0 kB");
  EXPECT_EQ(FormatBytes(1'300'000), "1.3 MB");
  EXPECT_EQ(FormatBytes(999'940), "999.9 kB");
  EXPECT_EQ(FormatBytes(999'960), "1.0 MB");
  EXPECT_EQ(FormatBytes(std::numeric_limits<int64_t>::max()), "9.2 EB");
}

TEST(FormatDuration, GrowsFromMinutesToDays) {
  EXPECT_EQ(FormatDuration(0), "0:00");
  EXPECT_EQ(FormatDuration(12.4), "0:12");
  EXPECT_EQ(FormatDuration(59.6), "1:00");
  EXPECT_EQ(FormatDuration(3723), "1:02:03");
  EXPECT_EQ(FormatDuration(2 * 86400 + 3723), "2 d 01:02:03");
  EXPECT_EQ(FormatDuration(-1), "-");
  EXPECT_EQ(FormatDuration(std::numeric_limits<double>::quiet_NaN()), "-");
  EXPECT_EQ(FormatDuration(std::numeric_limits<double>::infinity()), "-");
}

TEST(FormatPercent, TakesAFraction) {
  EXPECT_EQ(FormatPercent(0.35), "35 %");
  EXPECT_EQ(FormatPercent(0.89125, 2), "89.12 %");  // 89.125 is a tie of binary numbers; printf rounds it to even
}

TEST(FormatNumber, KeepsTheDigitsThatMatter) {
  EXPECT_EQ(FormatNumber(0.41234, 3), "0.412");
  EXPECT_EQ(FormatNumber(0, 3), "0.00");
  EXPECT_EQ(FormatNumber(52.34, 3), "52.3");
  EXPECT_EQ(FormatNumber(1234.5, 3), "1234");  // half to even, as printf
  EXPECT_EQ(FormatNumber(-2.5, 3), "-2.50");
  EXPECT_EQ(FormatNumber(1.5e9, 3), "1.5e+09");
  EXPECT_EQ(FormatNumber(std::numeric_limits<double>::quiet_NaN(), 3), "nan");
}

}  // namespace
}  // namespace basin::report
