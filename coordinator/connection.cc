#include "coordinator/connection.h"

#include <unistd.h>

#include <algorithm>
#include <exception>
#include <limits>
#include <random>
#include <utility>

#include "base/error.h"
#include "base/host.h"
#include "base/log.h"
#include "coordinator/channel.h"
#include "coordinator/wire.h"

namespace basin::coordinator {
namespace {

using Seconds = std::chrono::duration<double>;

// Names a process, decides nothing in the training: the one number that must not be reproducible.
uint64_t RandomIncarnation() {
  std::random_device device;
  return ((uint64_t{device()} << 32) | device()) | 1;
}


// Answers of two threads may overtake each other; what was decided later has the higher rank.
int64_t Rank(const Directive& directive) {
  if (IsOver(directive.verdict)) return std::numeric_limits<int64_t>::max();
  return 2 * directive.epoch + (directive.step >= 0 ? 1 : 0);
}

// Worth another try: the coordinator may be starting, restarting or busy. All else is an answer.
bool IsPassing(const grpc::Status& status) {
  const grpc::StatusCode code = status.error_code();
  return code == grpc::StatusCode::UNAVAILABLE || code == grpc::StatusCode::DEADLINE_EXCEEDED ||
         code == grpc::StatusCode::RESOURCE_EXHAUSTED || code == grpc::StatusCode::NOT_FOUND;
}

}  // namespace

void SetDeadline(grpc::ClientContext& context, double seconds) {
  const auto from_now = std::chrono::duration_cast<std::chrono::system_clock::duration>(Seconds(seconds));
  context.set_deadline(std::chrono::system_clock::now() + from_now);
}

Connection::Connection(ClientOptions options)
    : options_(std::move(options)),
      incarnation_(RandomIncarnation()),
      channel_(OpenChannel(options_.address, options_.tls)),
      stub_(v1::Coordinator::NewStub(channel_)) {
  if (options_.host.empty()) options_.host = base::HostName();
  activity_.phase = Phase::kStartUp;
  activity_.step = options_.step;
  last_answer_ = clock_.Now();
}

Directive Connection::directive() const {
  const std::lock_guard lock(mutex_);
  return current_;
}

double Connection::silent_s() const {
  const std::lock_guard lock(mutex_);
  return ToSeconds(clock_.Now() - last_answer_);
}

void Connection::SetMeasurements(std::vector<Measurement> measurements) {
  const std::lock_guard lock(mutex_);
  measurements_ = std::move(measurements);
}

void Connection::SetActivity(Activity activity) {
  bool urgent = false;
  {
    const std::lock_guard lock(mutex_);
    urgent = activity.phase != activity_.phase;
    activity_ = std::move(activity);
    poked_ = poked_ || urgent;
  }
  if (urgent) wake_.notify_all();
}

std::optional<int64_t> Connection::SayReady(int64_t step) {
  std::optional<int64_t> epoch;
  {
    const std::lock_guard lock(mutex_);
    if (current_.verdict != Verdict::kRegroup) return std::nullopt;
    activity_.step = step;
    activity_.operation = "regroup";
    ready_epoch_ = current_.epoch;
    poked_ = true;
    epoch = ready_epoch_;
  }
  wake_.notify_all();
  return epoch;
}

std::optional<Directive> Connection::WaitUntil(double deadline_s,
                                               const std::function<bool(const Directive&)>& reached) {
  std::unique_lock lock(mutex_);
  const auto done = [&] { return stopping_ || (has_directive_ && reached(current_)); };
  if (!wake_.wait_for(lock, Seconds(deadline_s), done)) return std::nullopt;
  return current_;
}

void Connection::Retry(const std::string& what, double deadline_s, const std::function<grpc::Status()>& call) {
  const Time end = clock_.Now() + FromSeconds(deadline_s);
  for (double pause_s = 0.05;; pause_s = std::min(1.0, 2 * pause_s)) {
    const grpc::Status status = call();
    if (status.ok()) return;
    const auto fail = [&](const std::string& how, const std::string& why) {
      throw CommError(Text("member ", options_.member, " ", how, " ", what, ": ", why));
    };
    const double left_s = ToSeconds(end - clock_.Now());
    if (!IsPassing(status)) fail("cannot", Explain(status, options_.address, options_.tls));
    const Directive now = directive();
    if (IsOver(now.verdict)) fail("no longer tries to", now.reason);
    if (left_s <= 0) fail(Text("tried for ", deadline_s, " s to"), Explain(status, options_.address, options_.tls));
    std::this_thread::sleep_for(Seconds(std::min(pause_s, left_s)));
  }
}

Join Connection::JoinEvent(bool again) const {
  const std::lock_guard lock(mutex_);
  Join join{.member = options_.member,
            .incarnation = incarnation_,
            .token = options_.token,
            .host = options_.host,
            .pid = getpid(),
            .settings = options_.settings,
            .again = again,
            .step = activity_.step};
  if (again && current_.epoch > 0) {
    join.epoch = current_.epoch;
    join.group = current_.members;
    join.agreed_step = current_.step;
  }
  return join;
}

grpc::Status Connection::CallJoin(bool again) {
  grpc::ClientContext context;
  SetDeadline(context, options_.call_s);
  v1::Directive reply;
  const grpc::Status status = stub_->Join(&context, ToWire(JoinEvent(again)), &reply);
  if (status.ok()) Accept(FromWire(reply));
  return status;
}

void Connection::JoinAgain() {
  const grpc::Status status = CallJoin(true);
  if (status.ok() || IsPassing(status)) return;
  Accept({.verdict = Verdict::kPutOut, .reason = status.error_message()});
}

// Takes a directive over and tells about it. Later ones win over earlier ones, whichever thread brings them.
void Connection::Accept(const Directive& directive) {
  const std::lock_guard telling(telling_mutex_);
  {
    const std::lock_guard lock(mutex_);
    last_answer_ = clock_.Now();
    if (directive.verdict == Verdict::kJoinAgain || IsOver(current_.verdict)) return;
    if (has_directive_ && (Rank(directive) < Rank(current_) || directive == current_)) return;
    has_directive_ = true;
    current_ = directive;
  }
  wake_.notify_all();
  if (options_.on_directive) options_.on_directive(directive);
}

void Connection::Mute(double seconds) {
  const std::lock_guard lock(mutex_);
  mute_until_ = clock_.Now() + FromSeconds(seconds);
}

void Connection::Beat() {
  coordinator::Beat beat{.member = options_.member, .incarnation = incarnation_};
  {
    const std::lock_guard lock(mutex_);
    if (clock_.Now() < mute_until_) return;
    beat.phase = activity_.phase;
    beat.step = activity_.step;
    beat.operation = activity_.operation;
    beat.steps_per_second = activity_.steps_per_second;
    beat.ready_epoch = ready_epoch_;
  }
  grpc::ClientContext context;
  SetDeadline(context, std::min(options_.call_s, std::max(1.0, options_.settings.heartbeat_s)));
  v1::Directive reply;
  const grpc::Status status = stub_->Heartbeat(&context, ToWire(beat), &reply);
  if (status.ok()) {
    Accept(FromWire(reply));
    if (reply.verdict() == v1::JOIN_AGAIN) JoinAgain();
    SendMeasurements();
  } else if (silent_s() > options_.give_up_s) {
    Accept({.verdict = Verdict::kEnd,
            .reason = Text("member ", options_.member, " gave up after ", options_.give_up_s,
                           " s: ", Explain(status, options_.address, options_.tls))});
  }
}

void Connection::SendMeasurements() {
  v1::ReportRequest request;
  {
    const std::lock_guard lock(mutex_);
    if (measurements_.empty()) return;
    for (const Measurement& measurement : measurements_) ToWire(measurement, *request.add_measurements());
    measurements_.clear();
  }
  *request.mutable_caller() = ToWire(caller());
  grpc::ClientContext context;
  SetDeadline(context, options_.call_s);
  v1::ReportReply reply;
  stub_->Report(&context, request, &reply);
}

// Sleeps, unless somebody pokes. False: stopping.
bool Connection::Rest(double seconds) {
  std::unique_lock lock(mutex_);
  wake_.wait_for(lock, Seconds(seconds), [this] { return stopping_ || poked_; });
  poked_ = false;
  return !stopping_;
}

void Connection::BeatAlong() {
  do {
    try {
      Beat();
    } catch (const std::exception& failure) {
      Accept({.verdict = Verdict::kEnd, .reason = failure.what()});
    }
  } while (Rest(options_.settings.heartbeat_s) && directive().verdict != Verdict::kPutOut);
}

// One stream, until it ends: by TryCancel from Stop, by the coordinator, or by the channel's keepalive.
void Connection::WatchOnce() {
  grpc::ClientContext context;
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return;
    watch_ = &context;
  }
  const auto reader = stub_->Watch(&context, ToWire(caller()));
  v1::Directive pushed;
  try {
    while (reader->Read(&pushed)) Accept(FromWire(pushed));
  } catch (const CommError& failure) {
    base::LogWarning(failure.what());
    context.TryCancel();
  }
  reader->Finish();
  const std::lock_guard lock(mutex_);
  watch_ = nullptr;
}

void Connection::WatchAlong() {
  for (;;) {
    WatchOnce();
    std::unique_lock lock(mutex_);
    if (stopping_ || IsOver(current_.verdict)) return;
    // The connection broke: show at once that the process is alive.
    poked_ = true;
    wake_.notify_all();
    wake_.wait_for(lock, std::chrono::milliseconds(300), [this] { return stopping_; });
  }
}

void Connection::Start() {
  beater_ = std::thread([this] { BeatAlong(); });
  watcher_ = std::thread([this] { WatchAlong(); });
}

void Connection::Stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    if (watch_ != nullptr) watch_->TryCancel();
  }
  wake_.notify_all();
  if (beater_.joinable()) beater_.join();
  if (watcher_.joinable()) watcher_.join();
}

}  // namespace basin::coordinator
