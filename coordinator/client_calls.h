// How the client's calls at a run's end are made: again and again until a deadline.
#pragma once

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <string>

#include "base/clock.h"
#include "base/error.h"
#include "coordinator/connection.h"

namespace basin::coordinator {

using Seconds = std::chrono::duration<double>;

/// A moment in the future.
class Deadline {
 public:
  explicit Deadline(Seconds from_now) : given_s_(from_now.count()), end_(clock_.Now() + FromSeconds(given_s_)) {}
  double given_s() const { return given_s_; }
  double left_s() const { return std::max(0.0, ToSeconds(end_ - clock_.Now())); }

 private:
  const base::SystemClock clock_{};
  double given_s_;
  Time end_;
};

inline grpc::Status Passing(const std::string& text) { return {grpc::StatusCode::UNAVAILABLE, text}; }

/// Makes a call until it succeeds. A refusal to talk to this process may come from a restarted coordinator that does
/// not know it yet; the heartbeat joins again, or learns that it was put out, which ends the trying.
inline void Call(Connection& connection, const std::string& what, const Deadline& until,
                 const std::function<grpc::Status()>& call) {
  grpc::Status told = grpc::Status::OK;  // the last answer that says more than that time ran out
  connection.Retry(what, until.left_s(), [&] {
    grpc::Status status = call();
    if (status.error_code() == grpc::StatusCode::PERMISSION_DENIED) status = Passing(status.error_message());
    if (status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED && !told.ok()) return told;
    return told = status;
  });
}

/// The same for a call of one request and one reply, each attempt no longer than call_s.
template <typename Method, typename Request, typename Reply>
void CallOnce(Connection& connection, const std::string& what, const Deadline& until, Method method,
              const Request& request, Reply& reply) {
  Call(connection, what, until, [&] {
    grpc::ClientContext context;
    // A last question may take its time: what is waited for is worth knowing.
    constexpr double kLastWord_s = 0.25;
    SetDeadline(context, std::min(connection.options().call_s, std::max(kLastWord_s, until.left_s())));
    return (connection.stub().*method)(&context, request, &reply);
  });
}

/// Grows from quick to polite. Ends early when the run does.
class Pauses {
 public:
  explicit Pauses(Connection& connection) : connection_(connection) {}
  void Reset() { pause_s_ = kFirst_s; }
  /// CommError when the deadline comes or the run ends first; `why` is what was last heard of it.
  void Rest(const Deadline& until, const std::string& what, const std::string& why) {
    const int member = connection_.options().member;
    const auto ended = connection_.WaitUntil(std::min(pause_s_, until.left_s()), [](const Directive& now) { return IsOver(now.verdict); });
    if (ended) throw CommError(Text("member ", member, " no longer waits for ", what, ": ", ended->reason));
    if (until.left_s() <= 0)
      throw CommError(Text("member ", member, " waited ", until.given_s(), " s for ", what, ": ", why));
    pause_s_ = std::min(0.5, 1.5 * pause_s_);
  }

 private:
  Connection& connection_;
  static constexpr double kFirst_s = 0.02;
  double pause_s_ = kFirst_s;
};

}  // namespace basin::coordinator
