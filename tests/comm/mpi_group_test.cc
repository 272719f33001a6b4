// The contract among those that are left: the last rank of the job stands still for ever, before the first test begins.
#include <gmock/gmock.h>

#include <csignal>
#include <numeric>

#include "comm/mpi.h"
#include "tests/comm/communicator_contract.h"

namespace basin::comm {
namespace {

MpiSession* session = nullptr;  // set by main, for the tests of this program
int groups_made = 0;
constexpr int kGroups = 40;

std::unique_ptr<Communicator> TheOthers() {
  MpiGroup group{.number = groups_made++};
  group.members.resize(session->size() - 1);
  std::iota(group.members.begin(), group.members.end(), 0);
  return MakeMpiGroup(*session, group, std::chrono::seconds(60));
}

class MpiGroupContract : public testing::TestWithParam<contract::Check> {};

TEST_P(MpiGroupContract, Holds) { GetParam().run(*TheOthers()); }

INSTANTIATE_TEST_SUITE_P(Checks, MpiGroupContract, testing::ValuesIn(contract::HostChecks()),
                         [](const auto& info) { return info.param.name; });

TEST(MpiGroup, TwoGroupsDoNotMixTheirMessages) {
  const auto one = TheOthers(), two = TheOthers();
  contract::MessagesDoNotMix(*one, *two);
}

TEST(MpiGroup, NamesRanksOfTheSessionWhenOneMoreIsLate) {
  if (session->size() < 3) GTEST_SKIP() << "needs two that are left";
  const auto comm = TheOthers();
  comm->SetTimeout(std::chrono::milliseconds(200));
  if (comm->rank() == comm->size() - 1) return;  // says nothing
  try {
    comm->Barrier();
    FAIL() << "must throw";
  } catch (const CommError& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr(Text("rank ", session->size() - 2)));
  }
}

TEST(MpiGroup, RefusesMoreGroupsThanWereReserved) {
  const MpiGroup beyond{.number = kGroups, .members = {session->rank()}};
  EXPECT_THROW(MakeMpiGroup(*session, beyond, std::chrono::seconds(1)), CommError);
}

}  // namespace
}  // namespace basin::comm

int main(int argc, char** argv) {
  basin::comm::MpiSession session;
  basin::comm::session = &session;
  session.ReserveGroups(basin::comm::kGroups);
  basin::comm::MakeMpi(session, std::chrono::seconds(60))->Barrier();
  if (session.rank() == session.size() - 1) std::raise(SIGSTOP);
  if (session.rank() != 0) GTEST_FLAG_SET(brief, true);  // one report; failures of other ranks are still shown
  testing::InitGoogleTest(&argc, argv);
  const bool failed = RUN_ALL_TESTS() != 0;
  if (basin::comm::contract::AnyRankFailed(*basin::comm::TheOthers(), failed)) session.Abort(1);
  session.EndJob(session.rank() == 0);
}
