// The contract on threads within processes under mpirun.
#include <gmock/gmock.h>

#include <memory>

#include "comm/hybrid.h"
#include "comm/mpi.h"
#include "tests/comm/communicator_contract.h"

namespace basin::comm {
namespace {

MpiSession* session = nullptr;  // set by main, for the tests of this program
constexpr std::chrono::seconds kTimeout{60};

class HybridMpiContract : public testing::TestWithParam<contract::Check> {};

/// Processes of one and of two ranks.
TEST_P(HybridMpiContract, Holds) {
  const auto across = MakeMpi(*session, kTimeout);
  RunHybrid(2 * session->size() - 1, *across, GetParam().run, kTimeout);
}

INSTANTIATE_TEST_SUITE_P(Checks, HybridMpiContract, testing::ValuesIn(contract::HostChecks()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace basin::comm

int main(int argc, char** argv) {
  basin::comm::MpiSession session;
  basin::comm::session = &session;
  if (session.rank() != 0) GTEST_FLAG_SET(brief, true);  // one report; failures of other ranks are still shown
  testing::InitGoogleTest(&argc, argv);
  const bool failed = RUN_ALL_TESTS() != 0;
  return basin::comm::contract::AnyRankFailed(*basin::comm::MakeMpi(session, basin::comm::kTimeout), failed) ? 1 : 0;
}
