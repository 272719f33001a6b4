#include "comm/counting.h"

#include "comm/in_process.h"
#include "tests/comm/communicator_contract.h"

namespace basin::comm {
namespace {

/// Every operation once; returns what the communicator itself says it sent.
Traffic EveryOperation(Communicator& comm) {
  const Traffic before = comm.traffic();
  torch::Tensor x = torch::ones({10});
  comm.AllReduceSum(x);
  comm.AllGather(x);
  comm.Broadcast(x, 0);
  const std::vector<int64_t> counts(comm.size(), 3);
  torch::Tensor recv = torch::empty({comm.size() * 3});
  comm.AllToAllV(torch::ones({comm.size() * 3}), counts, recv, counts);
  comm.StartAllToAllV(torch::ones({comm.size() * 3}), counts, recv, counts)->Wait();
  comm.Barrier();
  return {comm.traffic().bytes - before.bytes, comm.traffic().messages - before.messages};
}

TEST(Counting, LedgerAddsUpWhatTheInnerCommunicatorSent) {
  RunInProcess(3, [](Communicator& inner) {
    const Traffic once = EveryOperation(inner);  // not through the ledger: must not be counted
    const base::ManualClock clock;
    CountingCommunicator counting(inner, clock);
    EveryOperation(counting);
    EveryOperation(counting);
    EXPECT_EQ(counting.ledger().payload_bytes, 2 * once.bytes);
    EXPECT_EQ(counting.ledger().messages, 2 * once.messages);
    EXPECT_EQ(counting.ledger().calls, 12);
    EXPECT_EQ(counting.ledger().exchanges, 0);
    EXPECT_GT(once.bytes, 0);
  });
}

TEST(Counting, ExchangesCountTheirSecondsAndNothingElseDoes) {
  RunInProcess(1, [](Communicator& inner) {
    base::ManualClock clock;
    CountingCommunicator counting(inner, clock);
    clock.Advance(std::chrono::seconds(5));
    for (int event = 0; event < 2; ++event) {
      const CountingCommunicator::Exchange exchange(counting);
      clock.Advance(std::chrono::milliseconds(1500));
    }
    counting.Barrier();
    EXPECT_EQ(counting.ledger().exchanges, 2);
    EXPECT_EQ(counting.ledger().seconds, 3.0);
  });
}

TEST(Counting, ALandingAddsItsSecondsAndIsNoExchange) {
  RunInProcess(1, [](Communicator& inner) {
    base::ManualClock clock;
    CountingCommunicator counting(inner, clock);
    int told = 0;
    counting.OnExchange([&] { ++told; });
    {
      const CountingCommunicator::Landing landing(counting);
      clock.Advance(std::chrono::milliseconds(250));
    }
    EXPECT_EQ(counting.ledger().exchanges, 0);
    EXPECT_EQ(counting.ledger().seconds, 0.25);
    EXPECT_EQ(told, 0);
    EXPECT_EQ(&counting.uncounted(), &inner);
  });
}

TEST(Counting, TellsOfAnExchangeBeforeItBeginsAndOutsideItsSeconds) {
  RunInProcess(1, [](Communicator& inner) {
    base::ManualClock clock;
    CountingCommunicator counting(inner, clock);
    int told = 0;
    counting.OnExchange([&] {
      ++told;
      clock.Advance(std::chrono::seconds(7));
    });
    {
      const CountingCommunicator::Exchange exchange(counting);
      EXPECT_EQ(told, 1);
    }
    EXPECT_EQ(counting.ledger().seconds, 0);
    counting.OnExchange({});
    { const CountingCommunicator::Exchange exchange(counting); }
    EXPECT_EQ(told, 1);
  });
}

TEST(Counting, AnExchangeThatThrowsIsStillAccountedFor) {
  const auto group = MakeInProcessGroup(2);
  const auto inner = MakeInProcess(group, 0, std::chrono::milliseconds(5));
  const base::ManualClock clock;
  CountingCommunicator counting(*inner, clock);
  EXPECT_THROW(
      {
        const CountingCommunicator::Exchange exchange(counting);
        counting.Barrier();
      },
      CommError);
  EXPECT_EQ(counting.ledger().exchanges, 1);
  EXPECT_EQ(counting.ledger().calls, 0);
}

TEST(Counting, ARestoredLedgerGoesOn) {
  RunInProcess(2, [](Communicator& inner) {
    const base::ManualClock clock;
    CountingCommunicator counting(inner, clock);
    counting.Restore({.payload_bytes = 100, .messages = 7, .calls = 3, .exchanges = 2, .seconds = 1.5});
    counting.AllGather(torch::ones({2}));
    EXPECT_EQ(counting.ledger().payload_bytes, 108);
    EXPECT_EQ(counting.ledger().messages, 8);
    EXPECT_EQ(counting.ledger().calls, 4);
    EXPECT_EQ(counting.ledger().exchanges, 2);
    EXPECT_EQ(counting.ledger().seconds, 1.5);
  });
}

TEST(Counting, SetTimeoutReachesTheInnerCommunicator) {
  RunInProcess(1, [](Communicator& inner) {
    const base::ManualClock clock;
    CountingCommunicator counting(inner, clock);
    counting.SetTimeout(std::chrono::milliseconds(77));
    EXPECT_EQ(inner.timeout(), std::chrono::milliseconds(77));
    EXPECT_EQ(counting.timeout(), std::chrono::milliseconds(77));
    EXPECT_EQ(counting.name(), "in_process");
  });
}

/// It is a communicator like every other one.
TEST(Counting, TheContractHoldsThroughIt) {
  const base::SystemClock clock;
  for (const contract::Check& check : contract::HostChecks()) {
    SCOPED_TRACE(check.name);
    RunInProcess(3, [&](Communicator& inner) {
      CountingCommunicator counting(inner, clock);
      check.run(counting);
    });
  }
}

}  // namespace
}  // namespace basin::comm
