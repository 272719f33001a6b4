// The end of a run over real gRPC on the loopback: weights, averages and tasks of several members.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>

#include <cerrno>
#include <cmath>
#include <cstring>
#include <iterator>
#include <mutex>
#include <thread>

#include "base/error.h"
#include "base/files.h"
#include "base/safetensors.h"
#include "coordinator/channel.h"
#include "coordinator/client.h"
#include "coordinator/limits.h"
#include "coordinator/server.h"
#include "coordinator/wire.h"
#include "proto/coordinator.grpc.pb.h"
#include "tests/coordinator/eventually.h"
#include "tests/coordinator/proxy.h"
#include "tests/support/message_of.h"

namespace basin::coordinator {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

constexpr auto kSoon = 60s;  // never reached unless something is broken

class EndOfARun : public testing::Test {
 protected:
  EndOfARun() { std::filesystem::create_directory(Served()); }
  std::filesystem::path Served() const { return folder_.path() / "served"; }
  static Settings SettingsOf(int members) {
    return {.members = members, .on_loss = OnLoss::kContinue, .heartbeat_s = 0.1, .timeout_s = 5};
  }
  ClientOptions Options(int member, int members, const std::string& address) const {
    return {.address = address, .member = member, .token = "run-1", .settings = SettingsOf(members), .give_up_s = 60};
  }
  std::unique_ptr<Client> Joined(int member, int members) const {
    return std::make_unique<Client>(Options(member, members, server_->address()));
  }
  std::unique_ptr<Server> Served(const std::string& listen) {
    return std::make_unique<Server>(ServerOptions{.listen = listen,
                                                  .folder = Served(),
                                                  .on_event =
                                                      [this](double, int64_t, const Action& action) {
                                                        const std::lock_guard lock(mutex_);
                                                        events_ += action.text + "\n";
                                                      }},
                                    clock_);
  }
  void RestartServer() {
    const std::string address = server_->address();
    server_.reset();
    server_ = Served(address);
  }
  std::filesystem::path Saved(const std::string& name, const std::vector<float>& values) const {
    const auto path = folder_.path() / name;
    base::WriteSafetensors(
        path, {{"w", base::DType::kF32, {static_cast<int64_t>(values.size())}, std::as_bytes(std::span(values))}});
    return path;
  }
  static std::vector<float> Waves(size_t count) {
    std::vector<float> values(count);
    for (size_t i = 0; i < count; ++i) values[i] = std::sin(static_cast<float>(i));
    return values;
  }
  bool Said(const std::string& text) {
    const std::lock_guard lock(mutex_);
    return events_.find(text) != std::string::npos;
  }

  base::SystemClock clock_;
  base::TemporaryFolder folder_;
  std::mutex mutex_;
  std::string events_;  // guarded by mutex_
  std::unique_ptr<Server> server_ = Served("127.0.0.1:0");
};

TEST_F(EndOfARun, WeightsAreSentAndAnyMemberFetchesThem) {
  const auto a = Joined(0, 2), b = Joined(1, 2);
  const auto file = Saved("a", Waves(500'000));
  const WeightsReceipt receipt = a->SendWeights(file, kSoon);
  EXPECT_TRUE(receipt.complete);
  EXPECT_EQ(receipt.flaw, "");
  b->FetchWeights("members/000.safetensors", folder_.path() / "copy", kSoon);
  EXPECT_EQ(base::ReadFile(folder_.path() / "copy"), base::ReadFile(file));
  EXPECT_TRUE(a->SendWeights(file, kSoon).complete);  // costs a question
  EXPECT_TRUE(Eventually([&] { return Said("the weights of member 0 are here"); }));
}

TEST_F(EndOfARun, WeightsThatAreNotFiniteAreFlaggedAndFailTheAverage) {
  const auto a = Joined(0, 1);
  EXPECT_THAT(a->SendWeights(Saved("a", {1, NAN}), kSoon).flaw, HasSubstr("tensor w has a value that is not finite"));
  EXPECT_TRUE(Eventually([&] { return Said("not finite (element 1)"); }));
  EXPECT_THAT(test::MessageOf<DataError>([&] { a->Average({.members = {0}, .name = "average.safetensors"}, kSoon); }),
              HasSubstr("not finite (element 1)"));
}

// Each connection breaks before it could bring the 8 MB: who begins anew never gets there.
constexpr int kAlways = 1'000'000;

TEST_F(EndOfARun, SendingGoesOnAfterTheConnectionWasCut) {
  Proxy wire(std::stoi(server_->address().substr(server_->address().rfind(':') + 1)));
  Client a(Options(0, 1, wire.address()));
  const auto file = Saved("a", Waves(2'000'000));
  wire.CutAfter(3'000'000, kAlways);
  EXPECT_TRUE(a.SendWeights(file, kSoon).complete);
  EXPECT_LE(wire.cuts_left(), kAlways - 2);
  EXPECT_EQ(base::ReadFile(Served() / "members/000.safetensors"), base::ReadFile(file));
}

TEST_F(EndOfARun, FetchingGoesOnAfterTheConnectionWasCut) {
  Proxy wire(std::stoi(server_->address().substr(server_->address().rfind(':') + 1)));
  Client a(Options(0, 1, wire.address()));
  const auto file = Saved("a", Waves(2'000'000));
  a.SendWeights(file, kSoon);
  wire.CutAfter(3'000'000, kAlways);
  a.FetchWeights("members/000.safetensors", folder_.path() / "copy", kSoon);
  EXPECT_LE(wire.cuts_left(), kAlways - 2);
  EXPECT_EQ(base::ReadFile(folder_.path() / "copy"), base::ReadFile(file));
}

TEST_F(EndOfARun, JunkIsRefusedAtOnce) {
  const auto a = Joined(0, 1);
  base::WriteFileAtomically(folder_.path() / "junk", std::string(1000, 'j'));
  EXPECT_THAT(test::MessageOf<CommError>([&] { a->SendWeights(folder_.path() / "junk", kSoon); }),
              AllOf(HasSubstr("refused"), HasSubstr("no safetensors file")));
  EXPECT_THROW(a->SendWeights(folder_.path() / "missing", kSoon), DataError);
  EXPECT_FALSE(std::filesystem::exists(Served() / "members/000.safetensors"));
}

/// A disk of so many bytes, mounted at a folder; only the superuser can have one.
class TinyDisk {
 public:
  TinyDisk(std::filesystem::path folder, int64_t bytes) : folder_(std::move(folder)) {
    mounted_ = ::mount("tmpfs", folder_.c_str(), "tmpfs", 0, ("size=" + std::to_string(bytes)).c_str()) == 0;
    if (!mounted_) reason_ = std::strerror(errno);
  }
  ~TinyDisk() {
    if (mounted_) ::umount2(folder_.c_str(), MNT_DETACH);
  }
  TinyDisk(const TinyDisk&) = delete;
  TinyDisk& operator=(const TinyDisk&) = delete;
  bool mounted() const { return mounted_; }
  const std::string& reason() const { return reason_; }

 private:
  const std::filesystem::path folder_;
  bool mounted_ = false;
  std::string reason_;
};

TEST_F(EndOfARun, AFullDiskOfTheCoordinatorIsToldToTheMemberAndHarmsNoEarlierFile) {
  server_.reset();
  const TinyDisk disk(Served(), 3 << 20);
  if (!disk.mounted()) GTEST_SKIP() << "a small file system cannot be mounted here: " << disk.reason();
  server_ = Served("127.0.0.1:0");
  const auto a = Joined(0, 2), b = Joined(1, 2);
  const auto small = Saved("small", Waves(500'000)), large = Saved("large", Waves(600'000));
  a->SendWeights(small, kSoon);
  EXPECT_THAT(test::MessageOf<CommError>([&] { b->SendWeights(large, kSoon); }),
              AllOf(HasSubstr("the coordinator cannot keep members/001.safetensors"), HasSubstr("it has 2400"), HasSubstr("has room for"),
                    HasSubstr("Free or mend its disk")));
  EXPECT_EQ(base::ReadFile(Served() / "members/000.safetensors"), base::ReadFile(small));
  const std::filesystem::directory_iterator left(Served() / "members");
  EXPECT_EQ(std::distance(begin(left), end(left)), 1);
  std::filesystem::remove(Served() / "members/000.safetensors");  // somebody makes room
  EXPECT_TRUE(b->SendWeights(large, kSoon).complete);
  server_.reset();
}

TEST_F(EndOfARun, OnlyAMemberMaySendAndOnlyItsOwnWeights) {
  const auto stub = v1::Coordinator::NewStub(OpenChannel(server_->address(), {}));
  const auto send = [&](int member, uint64_t incarnation, const std::string& name) {
    grpc::ClientContext context;
    v1::WeightsReceipt receipt;
    const auto writer = stub->SendWeights(&context, &receipt);
    v1::WeightsChunk chunk;
    *chunk.mutable_caller() = ToWire(Caller{member, incarnation});
    chunk.set_name(name);
    chunk.set_total_bytes(3);
    chunk.set_data("abc");
    writer->Write(chunk);
    writer->WritesDone();
    return writer->Finish();
  };
  grpc::ClientContext context;
  v1::Directive directive;
  const Join join{.member = 1, .incarnation = 9, .token = "run-1", .host = "h", .pid = 1, .settings = SettingsOf(2)};
  ASSERT_TRUE(stub->Join(&context, ToWire(join), &directive).ok());
  EXPECT_EQ(send(0, 9, "members/000.safetensors").error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(send(1, 8, "members/001.safetensors").error_code(), grpc::StatusCode::PERMISSION_DENIED);
  const grpc::Status foreign = send(1, 9, "members/000.safetensors");
  EXPECT_EQ(foreign.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(foreign.error_message(), HasSubstr("allowed: members/001.safetensors"));
  EXPECT_THAT(send(1, 9, "members/001.safetensors").error_message(), HasSubstr("another hash"));
  grpc::ClientContext leaving;
  v1::LeaveReply left;
  ASSERT_TRUE(stub->Leave(&leaving, ToWire(Leave{1, 9, LeaveKind::kFailed, "lost"}), &left).ok());
  EXPECT_EQ(send(1, 9, "members/001.safetensors").error_code(), grpc::StatusCode::PERMISSION_DENIED);
}

TEST_F(EndOfARun, WithoutAFolderFilesAreRefusedWithTheWayOut) {
  server_ = std::make_unique<Server>(ServerOptions{}, clock_);
  const auto a = Joined(0, 1);
  EXPECT_THAT(test::MessageOf<CommError>([&] { a->SendWeights(Saved("a", {1}), kSoon); }), HasSubstr("--run-dir"));
  EXPECT_THAT(test::MessageOf<CommError>([&] { a->Average({.members = {0}, .name = "a.safetensors"}, kSoon); }),
              HasSubstr("--run-dir"));
}

TEST_F(EndOfARun, TheAverageIsMadeOnceAllWeightsAreThereAndFetched) {
  const auto a = Joined(0, 2), b = Joined(1, 2);
  const AverageJob job{.members = {0, 1}, .name = "average_raw.safetensors"};
  a->SendWeights(Saved("a", {1, 4}), kSoon);
  EXPECT_THAT(test::MessageOf<CommError>([&] { a->Average(job, 50ms); }),
              HasSubstr("waiting for the weights of member 1"));
  std::thread early([&] { a->Average(job, kSoon); });
  b->SendWeights(Saved("b", {3, 0}), kSoon);
  b->Average(job, kSoon);
  early.join();
  b->FetchWeights(job.name, folder_.path() / "average", kSoon);
  const base::SafetensorsReader average(folder_.path() / "average");
  std::vector<float> values(2);
  std::memcpy(values.data(), average.Require("w").bytes.data(), 8);
  EXPECT_THAT(values, ElementsAre(2, 2));
}

TEST_F(EndOfARun, AFileThatNeverComesEndsTheFetchAtItsDeadline) {
  const auto a = Joined(0, 1);
  EXPECT_THAT(test::MessageOf<CommError>([&] { a->FetchWeights("soup.safetensors", folder_.path() / "x", 60ms); }),
              HasSubstr("has no file soup.safetensors yet"));
  EXPECT_FALSE(std::filesystem::exists(folder_.path() / "x"));
}

TEST_F(EndOfARun, WeightsAndAverageOutliveTheCoordinatorThatTookThem) {
  const auto a = Joined(0, 1);
  const auto file = Saved("a", {1, 2});
  a->SendWeights(file, kSoon);
  RestartServer();
  EXPECT_TRUE(a->SendWeights(file, kSoon).complete);
  a->Average({.members = {0}, .name = "average.safetensors"}, kSoon);
  EXPECT_TRUE(std::filesystem::exists(Served() / "average.safetensors"));
}

std::vector<double> Evaluate(const Task& task) { return {static_cast<double>(task.id), std::stod(task.work) / 3}; }

TaskList Numbers(int count) {
  TaskList list{.works = {}, .deadline_s = 30};
  for (int i = 0; i < count; ++i) list.works.push_back(std::to_string(7 * i));
  return list;
}

TEST_F(EndOfARun, AllMembersWorkOnTheTasksAndGetTheSameResults) {
  constexpr int kMembers = 3;
  const TaskList list = Numbers(40);
  std::vector<std::unique_ptr<Client>> clients;
  for (int k = 0; k < kMembers; ++k) clients.push_back(Joined(k, kMembers));
  std::vector<std::vector<std::vector<double>>> results(kMembers);
  std::vector<std::thread> threads;
  for (int k = 0; k < kMembers; ++k)
    threads.emplace_back([&, k] { results[k] = clients[k]->WorkOn(list, Evaluate, kSoon); });
  for (std::thread& thread : threads) thread.join();
  ASSERT_THAT(results[0], SizeIs(40));
  for (int i = 0; i < 40; ++i) EXPECT_THAT(results[0][i], ElementsAre(i, 7.0 * i / 3));
  EXPECT_EQ(results[1], results[0]);
  EXPECT_EQ(results[2], results[0]);
}

TEST_F(EndOfARun, TheTaskOfALostMemberIsDoneByAnother) {
  const auto a = Joined(0, 2);
  auto b = Joined(1, 2);
  const TaskList list = Numbers(2);
  b->PostTasks(list, kSoon);
  EXPECT_EQ(b->FetchTask(kSoon).task.id, 0);
  EXPECT_EQ(a->FetchTask(kSoon).task.id, 1);
  b.reset();  // ends without a farewell
  EXPECT_THAT(a->WorkOn(list, Evaluate, kSoon), ElementsAre(ElementsAre(0, 0), ElementsAre(1, 7.0 / 3)));
}

TEST_F(EndOfARun, AListThatDiffersIsRefusedAndResultsThatNeverComeEndAtTheDeadline) {
  const auto a = Joined(0, 1);
  EXPECT_EQ(a->TaskResults(kSoon), std::nullopt);
  a->PostTasks(Numbers(2), kSoon);
  EXPECT_THAT(test::MessageOf<CommError>([&] { a->PostTasks(Numbers(3), kSoon); }), HasSubstr("differs from it"));
  EXPECT_THAT(test::MessageOf<CommError>([&] { a->TaskResults(50ms); }), HasSubstr("0 of 2 tasks are done"));
}

TEST_F(EndOfARun, ResultsTooLargeForOneMessageArriveWhole) {
  const auto a = Joined(0, 1);
  const TaskList list = Numbers(100);
  const auto long_result = [](const Task& task) {
    return std::vector<double>(kMaxTaskValues, static_cast<double>(task.id));
  };
  const auto results = a->WorkOn(list, long_result, kSoon);
  ASSERT_THAT(results, SizeIs(100));
  for (size_t i = 0; i < 100; ++i) EXPECT_EQ(results[i], std::vector<double>(kMaxTaskValues, static_cast<double>(i)));
}

TEST_F(EndOfARun, ARestartedCoordinatorIsGivenTheTasksAnew) {
  const auto a = Joined(0, 1);
  bool restarted = false;
  const auto evaluate = [&](const Task& task) {
    if (task.id == 2 && !std::exchange(restarted, true)) RestartServer();
    return Evaluate(task);
  };
  EXPECT_THAT(a->WorkOn(Numbers(4), evaluate, kSoon), SizeIs(4));
  EXPECT_TRUE(restarted);
}

TEST_F(EndOfARun, WhatEvaluateThrowsIsPassedOn) {
  const auto a = Joined(0, 1);
  const auto fail = [](const Task&) -> std::vector<double> { throw DataError("the test set is gone"); };
  EXPECT_THAT(test::MessageOf<DataError>([&] { a->WorkOn(Numbers(1), fail, kSoon); }), HasSubstr("test set is gone"));
}

}  // namespace
}  // namespace basin::coordinator
