// A thousand simulated members against the real server: real gRPC on the loopback, fake training, eight channels,
// default beats. Server and members share this process, so the figures are those of a machine that does both.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <deque>
#include <mutex>
#include <thread>

#include "coordinator/channel.h"
#include "coordinator/server.h"
#include "coordinator/wire.h"
#include "proto/coordinator.grpc.pb.h"
#include "tests/coordinator/eventually.h"

namespace basin::coordinator {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr int kMembers = 1000;
constexpr int kChannels = 8;
constexpr int kVictim = 500;
constexpr int kRounds = 5;  // beats of every member before the loss
const Settings kSettings{.members = kMembers, .on_loss = OnLoss::kContinue};

double Since(SteadyClock::time_point start) {
  return std::chrono::duration<double>(SteadyClock::now() - start).count();
}

/// A member without threads of its own: gRPC calls back.
class SimulatedMember final : public grpc::ClientReadReactor<v1::Directive> {
 public:
  SimulatedMember(int id, v1::Coordinator::Stub& stub) : id_(id), stub_(stub) {}

  bool JoinAndWatch() {
    grpc::ClientContext context;
    v1::Directive reply;
    const Join join{.member = id_,
                    .incarnation = Process(),
                    .token = "load",
                    .host = "simulated",
                    .pid = id_,
                    .settings = kSettings};
    if (!stub_.Join(&context, ToWire(join), &reply).ok()) return false;
    caller_ = ToWire(Caller{id_, Process()});
    stub_.async()->Watch(&watch_, &caller_, this);
    StartRead(&pushed_);
    StartCall();
    return true;
  }
  void OnReadDone(bool ok) override {
    if (!ok) return;
    {
      const std::lock_guard lock(mutex_);
      newest_ = FromWire(pushed_);
    }
    StartRead(&pushed_);
  }
  void OnDone(const grpc::Status&) override { closed_ = true; }
  void CutWatch() { watch_.TryCancel(); }
  bool closed() const { return closed_; }

  void Beat(int64_t step, int64_t ready_epoch) {
    struct Call {
      grpc::ClientContext context;
      v1::HeartbeatRequest request;
      v1::Directive reply;
    };
    auto call = std::make_shared<Call>();
    call->request = ToWire(coordinator::Beat{.member = id_,
                                             .incarnation = Process(),
                                             .step = step,
                                             .operation = "exchange wash",
                                             .steps_per_second = 10,
                                             .ready_epoch = ready_epoch});
    ++pending_;
    stub_.async()->Heartbeat(&call->context, &call->request, &call->reply,
                             [this, call, sent = SteadyClock::now()](const grpc::Status& status) {
                               const double latency = Since(sent);
                               const std::lock_guard lock(mutex_);
                               if (status.ok()) latencies_.push_back(latency);
                               if (!status.ok()) ++failures_;
                               --pending_;
                             });
  }

  bool Is(Verdict verdict, int64_t epoch) const {
    const std::lock_guard lock(mutex_);
    return newest_.verdict == verdict && newest_.epoch == epoch;
  }
  Directive directive() const {
    const std::lock_guard lock(mutex_);
    return newest_;
  }
  std::vector<double> latencies() const {
    const std::lock_guard lock(mutex_);
    return latencies_;
  }
  int failures() const { return failures_; }
  int pending() const { return pending_; }

 private:
  uint64_t Process() const { return 1000 + static_cast<uint64_t>(id_); }
  const int id_;
  v1::Coordinator::Stub& stub_;
  grpc::ClientContext watch_;
  v1::Caller caller_;
  v1::Directive pushed_;
  std::atomic<bool> closed_{false};
  std::atomic<int> failures_{0}, pending_{0};
  mutable std::mutex mutex_;
  Directive newest_;
  std::vector<double> latencies_;
};

class Population : public testing::Test {
 protected:
  void SetUp() override {
    for (int i = 0; i < kChannels; ++i) stubs_.push_back(v1::Coordinator::NewStub(OpenChannel(server_.address(), {})));
    for (int id = 0; id < kMembers; ++id) members_.emplace_back(id, *stubs_[static_cast<size_t>(id % kChannels)]);
  }
  void TearDown() override {
    for (SimulatedMember& member : members_) member.CutWatch();
    for (SimulatedMember& member : members_)
      ASSERT_TRUE(Eventually([&] { return member.closed() && member.pending() == 0; }));
  }
  bool AllSurvivorsAre(Verdict verdict, int64_t epoch) const {
    for (int id = 0; id < kMembers; ++id) {
      if (id == kVictim) continue;
      if (!members_[static_cast<size_t>(id)].Is(verdict, epoch)) return false;
    }
    return true;
  }
  /// One heartbeat_s during which everybody but `missing` beats once, evenly spread. Ends early when `done`.
  template <typename Done>
  void Round(int64_t step, int missing, Done done) {
    const auto start = SteadyClock::now();
    for (int id = 0; id < kMembers; ++id) {
      std::this_thread::sleep_until(start + std::chrono::duration_cast<SteadyClock::duration>(
                                                std::chrono::duration<double>(kSettings.heartbeat_s * id / kMembers)));
      if (id != missing) members_[static_cast<size_t>(id)].Beat(step, 0);
      if (id % 20 == 0 && done()) return;
    }
    std::this_thread::sleep_until(start + std::chrono::duration_cast<SteadyClock::duration>(
                                              std::chrono::duration<double>(kSettings.heartbeat_s)));
  }
  void PrintLatencies() const {
    std::vector<double> all;
    for (const SimulatedMember& member : members_) std::ranges::copy(member.latencies(), std::back_inserter(all));
    std::ranges::sort(all);
    const auto at = [&](double share) {
      return 1e3 * all[static_cast<size_t>(share * static_cast<double>(all.size() - 1))];
    };
    std::printf("%zu beats: median %.2f ms, 99 %% %.2f ms, slowest %.2f ms\n", all.size(), at(0.5), at(0.99), at(1));
    EXPECT_LT(at(1), 1e3 * kSettings.heartbeat_s) << "a beat that takes longer than the time between two";
  }

  base::SystemClock clock_;
  Server server_{{}, clock_};
  std::vector<std::unique_ptr<v1::Coordinator::Stub>> stubs_;
  std::deque<SimulatedMember> members_;  // addresses stay: gRPC holds them
};

TEST_F(Population, AThousandMembersBeatOnTimeAndALossIsHandledWithinTenSeconds) {
  auto start = SteadyClock::now();
  for (SimulatedMember& member : members_) ASSERT_TRUE(member.JoinAndWatch());
  ASSERT_TRUE(Eventually([&] { return AllSurvivorsAre(Verdict::kGoOn, 1); }));
  std::printf("%d members joined in %.2f s\n", kMembers, Since(start));

  const auto never = [] { return false; };
  for (int round = 0; round < kRounds; ++round) {
    Round(round, -1, never);
    EXPECT_THAT(server_.status().waiting_for, testing::IsEmpty()) << "round " << round;
  }
  for (const SimulatedMember& member : members_) ASSERT_EQ(member.failures(), 0);
  PrintLatencies();

  // A killed process: its connection closes and it beats no more.
  start = SteadyClock::now();
  members_[kVictim].CutWatch();
  while (!AllSurvivorsAre(Verdict::kRegroup, 2) && Since(start) < 20)
    Round(kRounds, kVictim, [&] { return AllSurvivorsAre(Verdict::kRegroup, 2); });
  std::printf("all survivors knew of the loss after %.2f s\n", Since(start));
  for (int id = 0; id < kMembers; ++id) {
    if (id != kVictim) members_[static_cast<size_t>(id)].Beat(kRounds + id % 2, 2);
  }
  ASSERT_TRUE(Eventually([&] { return AllSurvivorsAre(Verdict::kGoOn, 2); }));
  std::printf("all survivors went on after %.2f s\n", Since(start));
  EXPECT_LT(Since(start), 10);
  EXPECT_EQ(members_[0].directive().step, kRounds + 1);
  EXPECT_EQ(members_[0].directive().members.size(), static_cast<size_t>(kMembers - 1));
}

}  // namespace
}  // namespace basin::coordinator
