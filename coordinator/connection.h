// What stands behind a Client: the calls, the thread that beats, the thread that listens, and the newest directive.
#pragma once

#include <grpcpp/grpcpp.h>

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "base/clock.h"
#include "coordinator/client.h"
#include "coordinator/service.h"
#include "proto/coordinator.grpc.pb.h"

namespace basin::coordinator {

/// Thread-safe, Start and Stop excepted.
class Connection {
 public:
  explicit Connection(ClientOptions options);
  ~Connection() { Stop(); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  /// One attempt to join; a directive that comes with the answer is taken over.
  grpc::Status CallJoin(bool again);
  void Start();
  void Stop();

  /// Makes `call` until it succeeds. CommError when it is refused, when the run is over, or after the deadline.
  void Retry(const std::string& what, double deadline_s, const std::function<grpc::Status()>& call);
  /// Nothing when the deadline passes first.
  std::optional<Directive> WaitUntil(double deadline_s, const std::function<bool(const Directive&)>& reached);

  void Mute(double seconds);
  void SetActivity(Activity activity);
  void SetMeasurements(std::vector<Measurement> measurements);
  /// From now on every beat says that the member stands still at `step` in the current epoch. Returns that epoch;
  /// nothing when there is nothing to agree on.
  std::optional<int64_t> SayReady(int64_t step);

  Directive directive() const;
  double silent_s() const;
  const ClientOptions& options() const { return options_; }
  Caller caller() const { return {options_.member, incarnation_}; }
  v1::Coordinator::Stub& stub() { return *stub_; }
  grpc::Channel& channel() { return *channel_; }

 private:
  void BeatAlong();
  void Beat();
  void SendMeasurements();
  void JoinAgain();
  void WatchAlong();
  void WatchOnce();
  void Accept(const Directive& directive);
  bool Rest(double seconds);
  Join JoinEvent(bool again) const;

  ClientOptions options_;
  const uint64_t incarnation_;
  const base::SystemClock clock_{};
  const std::shared_ptr<grpc::Channel> channel_;
  const std::unique_ptr<v1::Coordinator::Stub> stub_;
  std::mutex telling_mutex_;  // keeps callbacks in order; taken before mutex_
  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable wake_;
  Activity activity_;
  std::vector<Measurement> measurements_;  // not yet sent
  int64_t ready_epoch_ = 0;
  Directive current_;
  bool has_directive_ = false, stopping_ = false, poked_ = false;
  Time last_answer_{0}, mute_until_{0};
  grpc::ClientContext* watch_ = nullptr;
  std::thread beater_, watcher_;  // not guarded: Start and Stop have one caller
};

/// Gives a call its deadline, in seconds from now.
void SetDeadline(grpc::ClientContext& context, double seconds);

}  // namespace basin::coordinator
