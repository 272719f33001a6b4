#include "comm/emulated.h"

#include <gmock/gmock.h>

#include <thread>

#include "comm/in_process.h"
#include "tests/comm/communicator_contract.h"
#include "tests/support/virtual_time.h"

namespace basin::comm {
namespace {

using testing::AllOf;
using testing::DoubleNear;
using testing::HasSubstr;
using testing::Pointwise;

constexpr Link kLink{.latency = 0.25, .bytes_per_second = 8};
constexpr double kNanosecond = 2e-9;  // clocks tick in nanoseconds, and two readings are added

/// When each rank's clock stood after `body`; rank r began at starts[r].
std::vector<double> Ends(const std::vector<double>& starts, const std::function<void(Communicator&)>& body) {
  std::vector<double> ends(starts.size());
  RunInProcess(static_cast<int>(starts.size()), [&](Communicator& inner) {
    test::VirtualClock clock;
    clock.Advance(starts[inner.rank()]);
    EmulatedCommunicator emulated(inner, kLink, clock, clock.waits());
    body(emulated);
    ends[inner.rank()] = clock.Seconds();
  });
  return ends;
}

testing::Matcher<std::vector<double>> Near(const std::vector<double>& expected) { return Pointwise(DoubleNear(kNanosecond), expected); }

/// Sends `elements` floats to each rank of `to` and expects as many from each of them.
void Swap(Communicator& comm, const std::vector<int>& to, int64_t elements) {
  std::vector<int64_t> counts(comm.size(), 0);
  for (int p : to) counts[p] = p == comm.rank() ? 0 : elements;
  const int64_t all = std::accumulate(counts.begin(), counts.end(), int64_t{0});
  torch::Tensor recv = torch::empty({all});
  comm.AllToAllV(torch::ones({all}), counts, recv, counts);
}

class EmulatedContract : public testing::TestWithParam<std::tuple<int, contract::Check>> {};

TEST_P(EmulatedContract, HoldsThroughTheLink) {
  const contract::Check& check = std::get<1>(GetParam());
  RunInProcess(std::get<0>(GetParam()), [&](Communicator& inner) {
    test::VirtualClock clock;
    EmulatedCommunicator emulated(inner, {.latency = 1e-6, .bytes_per_second = 1e9}, clock, clock.waits());
    check.run(emulated);
  });
}

INSTANTIATE_TEST_SUITE_P(Sizes, EmulatedContract, testing::Combine(testing::Values(1, 2, 3, 5), testing::ValuesIn(contract::HostChecks())),
                         [](const auto& info) { return Text(std::get<1>(info.param).name, "With", std::get<0>(info.param), "Ranks"); });

TEST(Emulated, AnAllToAllTakesOneLatencyAndTheBytesOfARank) {
  for (int size : {2, 3, 5}) {
    std::vector<int> all(size);
    std::iota(all.begin(), all.end(), 0);
    const auto ends = Ends(std::vector<double>(size, 0), [&](Communicator& comm) { Swap(comm, all, 6); });
    EXPECT_THAT(ends, Near(std::vector<double>(size, 0.25 + (size - 1) * 24.0 / 8))) << size;
  }
}

TEST(Emulated, ASumTakesTwoLatenciesAndTheBytesOfTheFormula) {
  for (int size : {2, 4}) {
    const auto ends = Ends(std::vector<double>(size, 0), [](Communicator& comm) {
      torch::Tensor x = torch::ones({64});
      comm.AllReduceSum(x);
    });
    EXPECT_THAT(ends, Near(std::vector<double>(size, 2 * 0.25 + 2.0 * (size - 1) / size * 256 / 8))) << size;
  }
}

TEST(Emulated, WhoComesLateHoldsUpWhoWaitsForItsValues) {
  EXPECT_THAT(Ends({0, 10}, [](Communicator& comm) { Swap(comm, {0, 1}, 2); }), Near({11.25, 11}));
}

TEST(Emulated, PairsDoNotWaitForOtherPairs) {
  const auto ends = Ends({0, 0, 50, 0}, [](Communicator& comm) { Swap(comm, {comm.rank() ^ 1}, 2); });
  EXPECT_THAT(ends, Near({1.25, 1.25, 51, 51.25}));
}

TEST(Emulated, ARankThatSendsAndReceivesNothingIsNotHeldBack) {
  EXPECT_THAT(Ends({0, 0, 3},
                   [](Communicator& comm) {
                     Swap(comm, comm.rank() < 2 ? std::vector{0, 1} : std::vector<int>{}, 2);
                   }),
              Near({1.25, 1.25, 3}));
}

TEST(Emulated, ABarrierTakesOneLatencyFromTheLastRankOn) {
  EXPECT_THAT(Ends({0, 4, 1}, [](Communicator& comm) { comm.Barrier(); }), Near({4.25, 4, 4.25}));
}

TEST(Emulated, AGatherAndABroadcastTakeWhatTheirMessagesTake) {
  EXPECT_THAT(Ends({0, 0, 0}, [](Communicator& comm) { comm.AllGather(torch::ones({2})); }), Near({2.25, 2.25, 2.25}));
  EXPECT_THAT(Ends({0, 0, 0, 0},
                   [](Communicator& comm) {
                     torch::Tensor x = torch::ones({2});
                     comm.Broadcast(x, 0);
                   }),
              Near({2, 2.25, 2.25, 2.5}));
}

TEST(Emulated, NothingIsSentForNothing) {
  EXPECT_THAT(Ends({0, 0},
                   [](Communicator& comm) {
                     torch::Tensor none = torch::ones({0});
                     comm.AllReduceSum(none);
                     comm.AllGather(none);
                     comm.Broadcast(none, 0);
                     Swap(comm, {}, 0);
                   }),
              Near({0, 0}));
}

TEST(Emulated, ALinkTooSlowForTheDeadlineIsNamed) {
  RunInProcess(2, [](Communicator& inner) {
    test::VirtualClock clock;
    EmulatedCommunicator emulated(inner, kLink, clock, clock.waits());
    emulated.SetTimeout(std::chrono::seconds(2));
    EXPECT_EQ(inner.timeout(), std::chrono::seconds(2));
    try {
      Swap(emulated, {0, 1}, 100);
      ADD_FAILURE() << "50 s of transfer passed a deadline of 2 s";
    } catch (const CommError& error) {
      EXPECT_THAT(error.what(), AllOf(HasSubstr(Text("rank ", inner.rank(), ": AllToAllV")), HasSubstr("8B/s,250ms"),
                                      HasSubstr("longer comm.timeout_s")));
    }
  });
}

TEST(Emulated, SleepingEndsAtItsMomentAndNotBefore) {
  const base::SystemClock clock;
  const WaitUntil wait = SleepUntil(clock);
  for (double ahead : {-1.0, 0.0, 50e-6, 2e-3}) {
    const double moment = clock.Seconds() + ahead;
    wait(moment);
    EXPECT_GE(clock.Seconds(), moment);
  }
}

}  // namespace
}  // namespace basin::comm
