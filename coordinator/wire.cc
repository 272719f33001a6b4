#include "coordinator/wire.h"

#include "base/error.h"
#include "coordinator/limits.h"
#include "coordinator/wire_checks.h"

namespace basin::coordinator {
namespace {

Phase FromWire(wire::Phase phase) {
  switch (phase) {
    case wire::START_UP: return Phase::kStartUp;
    case wire::TRAINING: return Phase::kTraining;
    case wire::EVALUATION: return Phase::kEvaluation;
    case wire::CHECKPOINT: return Phase::kCheckpoint;
    case wire::FINISH: return Phase::kFinish;
    default: Refuse(Text("phase is ", static_cast<int>(phase), "; allowed: 1 to 5"));
  }
}

wire::Phase ToWire(Phase phase) { return static_cast<wire::Phase>(static_cast<int>(phase) + 1); }

Settings FromWire(const wire::Settings& settings) {
  if (settings.on_loss() != wire::Settings::ABORT && settings.on_loss() != wire::Settings::CONTINUE)
    Refuse(Text("settings.on_loss is ", static_cast<int>(settings.on_loss()), "; allowed: 1 (abort), 2 (continue)"));
  return {.members = static_cast<int>(InRange("settings.members", int64_t{settings.members()}, 1, kMaxMembers)),
          .on_loss = settings.on_loss() == wire::Settings::ABORT ? OnLoss::kAbort : OnLoss::kContinue,
          .heartbeat_s = InRange("settings.heartbeat_s", settings.heartbeat_s(), 1e-3, 86400.0),
          .timeout_s = InRange("settings.timeout_s", settings.timeout_s(), 1e-3, 86400.0)};
}

}  // namespace

std::string Printable(std::string text, size_t max_bytes) {
  if (text.size() > max_bytes) {
    // Not in the middle of a UTF-8 character: those bytes would not be sent as a string.
    while (max_bytes > 0 && (static_cast<unsigned char>(text[max_bytes]) & 0xC0) == 0x80) --max_bytes;
    text.resize(max_bytes);
  }
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return text;
}

Caller FromWire(const wire::Caller& caller) {
  if (caller.incarnation() == 0) Refuse("caller.incarnation is 0; it must be the random number of the joined process");
  return {static_cast<int>(InRange("caller.member", int64_t{caller.member()}, 0, kMaxMembers - 1)),
          caller.incarnation()};
}

Join FromWire(const wire::JoinRequest& request) {
  const Caller caller = FromWire(request.caller());
  if (request.group_size() > kMaxMembers)
    Refuse(Text("group has ", request.group_size(), " members; allowed: ", kMaxMembers));
  return {.member = caller.member,
          .incarnation = caller.incarnation,
          .token = Short("run_token", request.run_token(), kMaxTokenBytes),
          .host = Short("host", request.host(), kMaxHostBytes),
          .pid = InRange("pid", request.pid(), 0, int64_t{1} << 32),
          .settings = FromWire(request.settings()),
          .again = request.again(),
          .epoch = InRange("epoch", request.epoch(), 0, kMaxEpoch),
          .group = {request.group().begin(), request.group().end()},
          .agreed_step = InRange("agreed_step", request.agreed_step(), -1, kMaxStep),
          .step = InRange("step", request.step(), 0, kMaxStep)};
}

Beat FromWire(const wire::HeartbeatRequest& request) {
  const Caller caller = FromWire(request.caller());
  return {.member = caller.member,
          .incarnation = caller.incarnation,
          .phase = FromWire(request.phase()),
          .step = InRange("step", request.step(), 0, kMaxStep),
          .operation = Short("operation", request.operation(), kMaxOperationBytes),
          .steps_per_second = InRange("steps_per_second", request.steps_per_second(), 0, kMaxRate),
          .ready_epoch = InRange("ready_epoch", request.ready_epoch(), 0, kMaxEpoch)};
}

Leave FromWire(const wire::LeaveRequest& request) {
  const Caller caller = FromWire(request.caller());
  Leave leave{.member = caller.member,
              .incarnation = caller.incarnation,
              .reason = Short("reason", request.reason(), kMaxReasonBytes)};
  switch (request.kind()) {
    case wire::LeaveRequest::DONE: leave.kind = LeaveKind::kDone; break;
    case wire::LeaveRequest::INTERRUPTED: leave.kind = LeaveKind::kInterrupted; break;
    case wire::LeaveRequest::FAILED: leave.kind = LeaveKind::kFailed; break;
    default: Refuse(Text("kind is ", static_cast<int>(request.kind()), "; allowed: 1 to 3"));
  }
  return leave;
}

std::vector<Measurement> FromWire(const wire::ReportRequest& request) {
  if (request.measurements_size() > static_cast<int>(kMaxMeasurements))
    Refuse(Text("a report of ", request.measurements_size(), " measurements; allowed: ", kMaxMeasurements));
  std::vector<Measurement> measurements;
  for (const wire::Measurement& measurement : request.measurements()) {
    if (measurement.name().empty()) Refuse("a measurement without a name");
    measurements.push_back({Short("name", measurement.name(), kMaxNameBytes), measurement.value(),
                            InRange("step", measurement.step(), 0, kMaxStep)});
  }
  return measurements;
}

Directive FromWire(const wire::Directive& directive) {
  const int verdict = directive.verdict();
  if (verdict < wire::WAIT || verdict > wire::JOIN_AGAIN)
    throw CommError(Text("the coordinator sent verdict ", verdict, "; is it of another version?"));
  return {.verdict = static_cast<Verdict>(verdict - 1),
          .epoch = directive.epoch(),
          .members = {directive.members().begin(), directive.members().end()},
          .step = directive.step(),
          .reason = Printable(directive.reason(), 8 * kMaxReasonBytes)};
}

Status FromWire(const wire::StatusReply& reply) {
  Status status{.members = {},
                .waiting_for = {reply.waiting_for().begin(), reply.waiting_for().end()},
                .reason = Printable(reply.reason(), 8 * kMaxReasonBytes),
                .epoch = reply.epoch(),
                .step = reply.step(),
                .outcome = Printable(reply.outcome(), kMaxNameBytes)};
  for (const wire::MemberStatus& member : reply.members()) {
    MemberStatus& out =
        status.members.emplace_back(MemberStatus{.id = member.id(),
                                                 .state = Printable(member.state(), kMaxNameBytes),
                                                 .host = Printable(member.host(), kMaxHostBytes),
                                                 .pid = member.pid(),
                                                 .step = member.step(),
                                                 .operation = Printable(member.operation(), kMaxOperationBytes),
                                                 .steps_per_second = member.steps_per_second(),
                                                 .member_for_s = member.member_for_s(),
                                                 .silent_s = member.silent_s(),
                                                 .operation_s = member.operation_s(),
                                                 .note = Printable(member.note(), 8 * kMaxReasonBytes)});
    for (const wire::Measurement& m : member.measurements())
      out.measurements.push_back({Printable(m.name(), kMaxNameBytes), m.value(), m.step()});
  }
  return status;
}

wire::Caller ToWire(const Caller& caller) {
  wire::Caller out;
  out.set_member(caller.member);
  out.set_incarnation(caller.incarnation);
  return out;
}

void ToWire(const Measurement& measurement, wire::Measurement& out) {
  out.set_name(Printable(measurement.name, kMaxNameBytes));
  out.set_value(measurement.value);
  out.set_step(measurement.step);
}

wire::JoinRequest ToWire(const Join& join) {
  wire::JoinRequest out;
  *out.mutable_caller() = ToWire(Caller{join.member, join.incarnation});
  out.set_run_token(join.token);
  out.set_host(Printable(join.host, kMaxHostBytes));
  out.set_pid(join.pid);
  out.mutable_settings()->set_members(join.settings.members);
  out.mutable_settings()->set_on_loss(join.settings.on_loss == OnLoss::kAbort ? wire::Settings::ABORT
                                                                              : wire::Settings::CONTINUE);
  out.mutable_settings()->set_heartbeat_s(join.settings.heartbeat_s);
  out.mutable_settings()->set_timeout_s(join.settings.timeout_s);
  out.set_again(join.again);
  out.set_epoch(join.epoch);
  out.mutable_group()->Assign(join.group.begin(), join.group.end());
  out.set_agreed_step(join.agreed_step);
  out.set_step(join.step);
  return out;
}

wire::HeartbeatRequest ToWire(const Beat& beat) {
  wire::HeartbeatRequest out;
  *out.mutable_caller() = ToWire(Caller{beat.member, beat.incarnation});
  out.set_phase(ToWire(beat.phase));
  out.set_step(beat.step);
  out.set_operation(Printable(beat.operation, kMaxOperationBytes));
  out.set_steps_per_second(beat.steps_per_second);
  out.set_ready_epoch(beat.ready_epoch);
  return out;
}

wire::LeaveRequest ToWire(const Leave& leave) {
  wire::LeaveRequest out;
  *out.mutable_caller() = ToWire(Caller{leave.member, leave.incarnation});
  out.set_kind(static_cast<wire::LeaveRequest::Kind>(static_cast<int>(leave.kind) + 1));
  out.set_reason(Printable(leave.reason, kMaxReasonBytes));
  return out;
}

wire::Directive ToWire(const Directive& directive) {
  wire::Directive out;
  out.set_verdict(static_cast<wire::Verdict>(static_cast<int>(directive.verdict) + 1));
  out.set_epoch(directive.epoch);
  out.mutable_members()->Assign(directive.members.begin(), directive.members.end());
  out.set_step(directive.step);
  out.set_reason(Printable(directive.reason, 8 * kMaxReasonBytes));
  return out;
}

wire::StatusReply ToWire(const Status& status) {
  wire::StatusReply out;
  for (const MemberStatus& member : status.members) {
    wire::MemberStatus& to = *out.add_members();
    to.set_id(member.id);
    to.set_state(member.state);
    to.set_host(member.host);
    to.set_pid(member.pid);
    to.set_step(member.step);
    to.set_operation(member.operation);
    to.set_steps_per_second(member.steps_per_second);
    to.set_member_for_s(member.member_for_s);
    to.set_silent_s(member.silent_s);
    to.set_operation_s(member.operation_s);
    to.set_note(Printable(member.note, 8 * kMaxReasonBytes));
    for (const Measurement& measurement : member.measurements) ToWire(measurement, *to.add_measurements());
  }
  out.mutable_waiting_for()->Assign(status.waiting_for.begin(), status.waiting_for.end());
  out.set_reason(Printable(status.reason, 8 * kMaxReasonBytes));
  out.set_epoch(status.epoch);
  out.set_step(status.step);
  out.set_outcome(status.outcome);
  return out;
}

}  // namespace basin::coordinator
