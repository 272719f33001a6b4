#include "coordinator/client.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "coordinator/channel.h"
#include "coordinator/connection.h"
#include "coordinator/wire.h"

namespace basin::coordinator {

using Seconds = std::chrono::duration<double>;

Client::Client(ClientOptions options) : connection_(std::make_unique<Connection>(std::move(options))) {
  connection_->Retry("join the run", connection_->options().join_s, [this] { return connection_->CallJoin(false); });
  connection_->Start();
}

Client::~Client() { Leave(LeaveKind::kFailed, "it ended without a farewell; its own output says why"); }

void Client::Mute(std::chrono::duration<double> how_long) { connection_->Mute(how_long.count()); }

void Client::Progress(Activity activity) { connection_->SetActivity(std::move(activity)); }
Directive Client::directive() const { return connection_->directive(); }
double Client::silent_s() const { return connection_->silent_s(); }

bool Client::fenced() const {
  return directive().verdict == Verdict::kPutOut || silent_s() > connection_->options().settings.timeout_s;
}

Directive Client::AwaitGroup(Seconds deadline) {
  const auto reached =
      connection_->WaitUntil(deadline.count(), [](const Directive& now) { return now.verdict != Verdict::kWait; });
  if (reached) return *reached;
  throw CommError(Text("member ", connection_->options().member, " waited ", deadline.count(),
                       " s for the group to be complete: ", directive().reason));
}

Directive Client::AwaitChange(int64_t epoch, Seconds deadline) {
  const auto reached = connection_->WaitUntil(deadline.count(), [epoch](const Directive& now) {
    return now.epoch != epoch || IsOver(now.verdict);
  });
  return reached.value_or(directive());
}

Directive Client::Agree(int64_t step, Seconds deadline) {
  const base::SystemClock clock;
  const Time end = clock.Now() + FromSeconds(deadline.count());
  // More members may be lost meanwhile: then the readiness is said again, for the newer epoch.
  while (const std::optional<int64_t> epoch = connection_->SayReady(step)) {
    const auto reached = connection_->WaitUntil(ToSeconds(end - clock.Now()), [epoch](const Directive& now) {
      return now.verdict != Verdict::kRegroup || now.epoch != *epoch;
    });
    if (!reached) {
      throw CommError(Text("member ", connection_->options().member, " waited ", deadline.count(), " s at step ", step,
                           " for epoch ", *epoch, " to agree: ", directive().reason));
    }
  }
  return directive();
}

void Client::Report(std::vector<Measurement> measurements) { connection_->SetMeasurements(std::move(measurements)); }

void Client::Put(const std::string& key, const std::string& value, Seconds deadline) {
  v1::PutRequest request;
  *request.mutable_caller() = ToWire(connection_->caller());
  request.set_key(key);
  request.set_value(value);
  connection_->Retry(Text("write key '", key, "'"), deadline.count(), [&] {
    grpc::ClientContext context;
    SetDeadline(context, std::min(connection_->options().call_s, deadline.count()));
    v1::PutReply reply;
    return connection_->stub().Put(&context, request, &reply);
  });
}

std::string Client::Await(const std::string& key, Seconds deadline) {
  v1::GetRequest request;
  *request.mutable_caller() = ToWire(connection_->caller());
  request.set_key(key);
  v1::GetReply reply;
  connection_->Retry(Text("read key '", key, "'"), deadline.count(), [&] {
    grpc::ClientContext context;
    SetDeadline(context, std::min(connection_->options().call_s, deadline.count()));
    const grpc::Status status = connection_->stub().Get(&context, request, &reply);
    if (!status.ok() || reply.found()) return status;
    return grpc::Status(grpc::StatusCode::NOT_FOUND, "nobody has written it yet");
  });
  return reply.value();
}

void Client::Leave(LeaveKind kind, const std::string& reason) noexcept {
  std::call_once(left_, [&] {
    connection_->Stop();
    if (directive().verdict == Verdict::kPutOut) return;
    grpc::ClientContext context;
    // A goodbye that nobody hears must not hold the end up.
    SetDeadline(context, std::min(2.0, connection_->options().call_s));
    const Caller caller = connection_->caller();
    v1::LeaveReply reply;
    connection_->stub().Leave(
        &context,
        ToWire(coordinator::Leave{
            .member = caller.member, .incarnation = caller.incarnation, .kind = kind, .reason = reason}),
        &reply);
  });
}

Status QueryStatus(const std::string& address, const Tls& tls, Seconds deadline) {
  const auto stub = v1::Coordinator::NewStub(OpenChannel(address, tls));
  grpc::ClientContext context;
  SetDeadline(context, deadline.count());
  v1::StatusReply reply;
  const grpc::Status status = stub->Status(&context, {}, &reply);
  if (!status.ok()) throw CommError(Explain(status, address, tls));
  return FromWire(reply);
}

}  // namespace basin::coordinator
