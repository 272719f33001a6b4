#include "trainer/trace.h"

#include <gtest/gtest.h>

#include "base/files.h"
#include "base/json.h"
#include "comm/in_process.h"

namespace basin::trainer {
namespace {

using std::chrono::milliseconds;

/// The complete events ("X") of a written trace.
std::vector<base::Json> Complete(const base::Json& trace) {
  std::vector<base::Json> events;
  for (const base::Json& event : trace["traceEvents"]) {
    if (event["ph"] == "X") events.push_back(event);
  }
  return events;
}

TEST(Trace, HoldsTheOperationsOfAllRanksWithTheirTimesInMicroseconds) {
  const base::TemporaryFolder folder;
  const auto file = folder.path() / "trace.json";
  comm::RunInProcess(2, [&](comm::Communicator& comm) {
    base::ManualClock clock;
    clock.Advance(std::chrono::hours(1));  // of the machine; the trace counts from its own start
    Trace trace(clock);
    clock.Advance(milliseconds(2));
    trace.Begin("step", 0);
    clock.Advance(milliseconds(5));
    trace.Begin("exchange", 1);
    clock.Advance(milliseconds(1 + comm.rank()));
    trace.End();
    trace.End();  // harmless
    clock.Advance(milliseconds(100));
    trace.Begin("finish", 7);  // Write ends it
    trace.Write(file, /*member=*/comm.rank() + 4, comm);
  });
  const base::Json trace = base::ReadJson(file);
  const auto events = Complete(trace);
  ASSERT_EQ(events.size(), 6U);
  for (int rank : {0, 1}) {
    const base::Json &step = events[3 * rank], &exchange = events[3 * rank + 1], &finish = events[3 * rank + 2];
    EXPECT_EQ(step, base::Json::parse(R"({"name": "step", "ph": "X", "ts": 2000.0, "dur": 5000.0, "pid": )" +
                                      std::to_string(rank) + R"(, "tid": 0, "args": {"step": 0}})"));
    EXPECT_EQ(exchange["ts"], 7000.0);
    EXPECT_EQ(exchange["dur"], 1000.0 * (1 + rank));
    EXPECT_EQ(finish["ts"], 107000.0 + 1000.0 * (1 + rank));
    EXPECT_EQ(finish["args"]["step"], 7);
  }
  EXPECT_EQ(trace["traceEvents"][0]["args"]["name"], "member 4");
}

TEST(Trace, KeepsTheFirstOperationsAndCountsWhatItLeavesOut) {
  const base::TemporaryFolder folder;
  comm::RunInProcess(1, [&](comm::Communicator& comm) {
    const base::ManualClock clock;
    Trace trace(clock);
    for (size_t k = 0; k < Trace::kMostOperations + 3; ++k) trace.Begin("s", static_cast<int64_t>(k));
    trace.Write(folder.path() / "trace.json", 0, comm);
  });
  const base::Json trace = base::ReadJson(folder.path() / "trace.json");
  const auto events = Complete(trace);
  EXPECT_EQ(events.size(), Trace::kMostOperations);
  EXPECT_EQ(events.back()["args"]["step"], static_cast<int64_t>(Trace::kMostOperations) - 1);
  EXPECT_EQ(trace["traceEvents"][2]["args"]["labels"], "3 operations left out");
}

}  // namespace
}  // namespace basin::trainer
