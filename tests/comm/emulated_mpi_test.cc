// The emulated link over real processes: the contract, and what a message takes by the clock on the wall.
#include <gmock/gmock.h>

#include "comm/emulated.h"
#include "comm/mpi.h"
#include "tests/comm/communicator_contract.h"

namespace basin::comm {
namespace {

MpiSession* session = nullptr;  // set by main, for the tests of this program
constexpr std::chrono::seconds kTimeout{60};

class EmulatedMpi : public testing::Test {
 protected:
  std::unique_ptr<Communicator> inner_ = MakeMpi(*session, kTimeout);
  base::SystemClock clock_;
};

TEST_F(EmulatedMpi, TheContractHolds) {
  EmulatedCommunicator emulated(*inner_, {.latency = 1e-6, .bytes_per_second = 10e9}, clock_, SleepUntil(clock_));
  for (const contract::Check& check : contract::HostChecks()) {
    SCOPED_TRACE(check.name);
    check.run(emulated);
  }
}

/// The quickest of so many calls: waking up late is the machine's fault, not the link's.
template <typename Call>
double Quickest(EmulatedCommunicator& emulated, const base::Clock& clock, int calls, const Call& call) {
  double best = std::numeric_limits<double>::infinity();
  for (int k = 0; k < calls; ++k) {
    emulated.Barrier();
    const base::Stopwatch watch(clock);
    call();
    best = std::min(best, watch.Seconds());
  }
  return best;
}

TEST_F(EmulatedMpi, ExchangesTakeTheTimeOfTheLink) {
  const int size = inner_->size();
  const Link link{.latency = 5e-3, .bytes_per_second = 12.5e6};
  EmulatedCommunicator emulated(*inner_, link, clock_, SleepUntil(clock_));
  constexpr int64_t kElements = 30'000;  // 120 kB: 9.6 ms
  torch::Tensor x = torch::ones({kElements * size}), recv = torch::empty_like(x);
  const std::vector<int64_t> counts(size, kElements);
  const double all_to_all = Quickest(emulated, clock_, 8, [&] { emulated.AllToAllV(x, counts, recv, counts); });
  const double sum = Quickest(emulated, clock_, 8, [&] { emulated.AllReduceSum(x); });
  const double bytes = 4.0 * kElements * (size - 1);
  // Ranks leave the barrier up to a latency apart, so the quickest may seem that much quicker: ranks that began earlier have sent.
  const double expected = link.latency + bytes / link.bytes_per_second;
  EXPECT_GT(all_to_all, expected - link.latency);
  EXPECT_LT(all_to_all, 1.1 * expected);
  EXPECT_GT(sum, 2 * expected - link.latency);
  EXPECT_LT(sum, 1.1 * 2 * expected);
}

}  // namespace
}  // namespace basin::comm

int main(int argc, char** argv) {
  basin::comm::MpiSession session;
  basin::comm::session = &session;
  if (session.rank() != 0) GTEST_FLAG_SET(brief, true);
  testing::InitGoogleTest(&argc, argv);
  const bool failed = RUN_ALL_TESTS() != 0;
  try {
    return basin::comm::contract::AnyRankFailed(*basin::comm::MakeMpi(session, basin::comm::kTimeout), failed) ? 1 : 0;
  } catch (const basin::CommError& error) {
    std::fprintf(stderr, "%s\n", error.what());
    session.Abort(1);
  }
}
