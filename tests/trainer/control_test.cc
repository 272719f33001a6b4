#include "trainer/control.h"

#include <gtest/gtest.h>

#include <mutex>

#include "base/error.h"
#include "base/files.h"
#include "base/json.h"
#include "comm/in_process.h"
#include "tests/coordinator/eventually.h"
#include "tests/support/message_of.h"

namespace basin::trainer {
namespace {

using coordinator::LeaveKind;
using coordinator::Phase;

RunConfig Population(int members, const std::string& address = "embedded") {
  RunConfig config;
  config.population.members = members;
  config.coordinator = {.address = address, .heartbeat = std::chrono::milliseconds(100), .timeout = std::chrono::milliseconds(5000)};
  return config;
}

class ControlTest : public testing::Test {
 protected:
  /// Runs `body` as each of three ranks with a place in one control plane.
  void OnThreeRanks(const std::function<void(comm::Communicator&, Control&)>& body,
                    coordinator::OnLoss on_loss = coordinator::OnLoss::kAbort) {
    RunConfig config = Population(3);
    config.coordinator.on_loss = on_loss;
    comm::RunInProcess(3, [&](comm::Communicator& comm) {
      const auto control = Control::Make({.config = config, .run_dir = folder_.path(), .step = 40}, comm);
      ASSERT_NE(control, nullptr);
      body(comm, *control);
      comm.Barrier();
    }, std::chrono::seconds(30), torch::kCPU);
  }
  std::string Announced() const {
    return base::ReadJson(folder_.path() / "coordinator.json").at("address").get<std::string>();
  }

  base::TemporaryFolder folder_;
};

TEST_F(ControlTest, ShowsWhatEveryRankDoesAtTheAnnouncedAddress) {
  OnThreeRanks([&](comm::Communicator& comm, Control& control) {
    control.Progress(Phase::kEvaluation, 40 + comm.rank(), "evaluation");
    comm.Barrier();
    if (comm.rank() == 0) {
      coordinator::Status status;
      EXPECT_TRUE(coordinator::Eventually([&] {
        status = coordinator::QueryStatus(Announced(), {}, std::chrono::seconds(5));
        return std::ranges::all_of(status.members, [](const auto& member) { return member.state == "evaluation"; });
      }));
      ASSERT_EQ(status.members.size(), 3u);
      for (int m = 0; m < 3; ++m) EXPECT_EQ(status.members[m].step, 40 + m);
      EXPECT_TRUE(status.waiting_for.empty());
    }
    comm.Barrier();
    control.Leave(LeaveKind::kDone, "finished");
  });
  EXPECT_FALSE(std::filesystem::exists(folder_.path() / "coordinator.json")) << "nobody listens there any more";
}

TEST_F(ControlTest, EndsTheOthersWhenOneRankFails) {
  OnThreeRanks([&](comm::Communicator& comm, Control& control) {
    if (comm.rank() == 2) {
      control.Leave(LeaveKind::kFailed, "the disk is full");
      return;
    }
    std::string message;
    EXPECT_TRUE(coordinator::Eventually([&] {
      try {
        control.Check();
      } catch (const CommError& error) {
        message = error.what();
      }
      return !message.empty();
    }));
    EXPECT_NE(message.find("member 2"), std::string::npos) << message;
    EXPECT_NE(message.find("the disk is full"), std::string::npos) << message;
  });
}

TEST_F(ControlTest, GoesOnWhenARankHasFinished) {
  OnThreeRanks([&](comm::Communicator& comm, Control& control) {
    if (comm.rank() == 2) control.Leave(LeaveKind::kDone, "finished");
    comm.Barrier();
    EXPECT_NO_THROW(control.Progress(Phase::kFinish, 41, "finish"));
    comm.Barrier();
    control.Leave(LeaveKind::kDone, "finished");
  });
}

TEST_F(ControlTest, AgreesWithThoseThatAreLeftOnTheLargestStep) {
  OnThreeRanks([&](comm::Communicator& comm, Control& control) {
    EXPECT_TRUE(control.continues());
    // Rank 0's process is the coordinator's: without it nobody goes on.
    EXPECT_EQ(control.others_go_on(), comm.rank() != 0);
    if (comm.rank() == 2) {
      control.Progress(Phase::kTraining, 42, "exchange");
      control.Leave(LeaveKind::kFailed, "the disk is full");
      comm.SetWatch({});  // waits below for the sake of this test; a process would be gone
    } else {
      const auto left = control.Regroup(43 + comm.rank());
      ASSERT_TRUE(left.has_value());
      EXPECT_EQ(left->epoch, 2);
      EXPECT_EQ(left->members, (std::vector<int>{0, 1}));
      EXPECT_EQ(left->step, 44);
      EXPECT_NO_THROW(control.Check()) << "the new group is this rank's own";
      const base::Json lost = control.Lost();
      ASSERT_EQ(lost.size(), 1u);
      EXPECT_EQ(lost[0]["member"], 2);
      EXPECT_NE(lost[0]["reason"].get<std::string>().find("the disk is full"), std::string::npos) << lost;
    }
    comm.Barrier();
    control.Leave(LeaveKind::kDone, "finished");
  }, coordinator::OnLoss::kContinue);
}

TEST_F(ControlTest, FindsNoNewGroupWhereNobodyWasLost) {
  RunConfig config = Population(1);
  config.coordinator.timeout = std::chrono::milliseconds(300);
  config.coordinator.on_loss = coordinator::OnLoss::kContinue;
  const auto alone = comm::MakeInProcess(comm::MakeInProcessGroup(1), 0, std::chrono::seconds(5));
  const auto control = Control::Make({.config = config, .run_dir = folder_.path()}, *alone);
  EXPECT_FALSE(control->Regroup(7).has_value());
}

TEST_F(ControlTest, IsLeftOutWhereNoCoordinatorIsWantedOrCanBeReached) {
  const auto alone = comm::MakeInProcess(comm::MakeInProcessGroup(1), 0, std::chrono::seconds(5));
  EXPECT_EQ(Control::Make({.config = Population(1, "none"), .run_dir = folder_.path()}, *alone), nullptr);
  EXPECT_EQ(Control::Make({.config = Population(1), .run_dir = folder_.path(), .one_host = false}, *alone), nullptr);
}

TEST_F(ControlTest, NamesACoordinatorThatDoesNotAnswer) {
  // Port 1 of the loopback: nothing listens there.
  const auto alone = comm::MakeInProcess(comm::MakeInProcessGroup(1), 0, std::chrono::seconds(2));
  const std::string message = test::MessageOf<CommError>(
      [&] { Control::Make({.config = Population(1, "127.0.0.1:1"), .run_dir = folder_.path()}, *alone); });
  EXPECT_NE(message.find("127.0.0.1:1"), std::string::npos) << message;
}

}  // namespace
}  // namespace basin::trainer
