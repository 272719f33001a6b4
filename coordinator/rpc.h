// The gRPC skin of the service: translates, maps refusals to status codes, streams directives. Decides nothing.
#pragma once

#include <grpcpp/grpcpp.h>

#include "coordinator/service.h"
#include "proto/coordinator.grpc.pb.h"

namespace basin::coordinator {

/// Handlers run on gRPC's threads, several at once. The service must outlive it.
class Rpc final : public v1::Coordinator::CallbackService {
 public:
  explicit Rpc(coordinator::Service& service) : service_(service) {}

  grpc::ServerUnaryReactor* Join(grpc::CallbackServerContext*, const v1::JoinRequest*, v1::Directive*) override;
  grpc::ServerUnaryReactor* Heartbeat(grpc::CallbackServerContext*, const v1::HeartbeatRequest*,
                                      v1::Directive*) override;
  grpc::ServerWriteReactor<v1::Directive>* Watch(grpc::CallbackServerContext*, const v1::Caller*) override;
  grpc::ServerUnaryReactor* Leave(grpc::CallbackServerContext*, const v1::LeaveRequest*, v1::LeaveReply*) override;
  grpc::ServerUnaryReactor* Report(grpc::CallbackServerContext*, const v1::ReportRequest*, v1::ReportReply*) override;
  grpc::ServerUnaryReactor* Status(grpc::CallbackServerContext*, const v1::StatusRequest*, v1::StatusReply*) override;
  grpc::ServerUnaryReactor* Put(grpc::CallbackServerContext*, const v1::PutRequest*, v1::PutReply*) override;
  grpc::ServerUnaryReactor* Get(grpc::CallbackServerContext*, const v1::GetRequest*, v1::GetReply*) override;

 private:
  coordinator::Service& service_;
};

}  // namespace basin::coordinator
