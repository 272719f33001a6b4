// Between the wire and plain values. Requests are checked here, field by field, before anything uses them; Refused
// names the field, what it held and what is allowed. Answers of a coordinator are checked too: CommError.
#pragma once

#include <string>

#include "coordinator/service.h"
#include "coordinator/types.h"
#include "proto/coordinator.pb.h"

namespace basin::coordinator {

namespace wire = v1;

Caller FromWire(const wire::Caller& caller);
Join FromWire(const wire::JoinRequest& request);
Beat FromWire(const wire::HeartbeatRequest& request);
Leave FromWire(const wire::LeaveRequest& request);
std::vector<Measurement> FromWire(const wire::ReportRequest& request);
Directive FromWire(const wire::Directive& directive);
Status FromWire(const wire::StatusReply& reply);

wire::JoinRequest ToWire(const Join& join);
wire::HeartbeatRequest ToWire(const Beat& beat);
wire::LeaveRequest ToWire(const Leave& leave);
wire::Directive ToWire(const Directive& directive);
wire::StatusReply ToWire(const Status& status);
wire::Caller ToWire(const Caller& caller);
void ToWire(const Measurement& measurement, wire::Measurement& out);

/// `text` for a terminal or a log: control characters become '?', what is longer than `max_bytes` is cut (at a
/// character).
std::string Printable(std::string text, size_t max_bytes);

}  // namespace basin::coordinator
