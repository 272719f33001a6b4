// The gRPC skin of the service: translates, maps refusals to status codes, streams directives. Decides nothing.
#pragma once

#include <grpcpp/grpcpp.h>

#include <atomic>

#include "base/error.h"
#include "coordinator/averaging.h"
#include "coordinator/chunk.h"
#include "coordinator/service.h"
#include "coordinator/weights_store.h"
#include "proto/coordinator.grpc.pb.h"

namespace basin::coordinator {

/// Calls that are answered at once are handled on gRPC's own threads and never wait. Those that touch files get a
/// thread each, so that a slow disk delays no heartbeat.
using HandlersInline = v1::Coordinator::WithCallbackMethod_Join<
    v1::Coordinator::WithCallbackMethod_Heartbeat<v1::Coordinator::WithCallbackMethod_Watch<
        v1::Coordinator::WithCallbackMethod_Leave<v1::Coordinator::WithCallbackMethod_Report<
            v1::Coordinator::WithCallbackMethod_Status<v1::Coordinator::WithCallbackMethod_Put<
                v1::Coordinator::WithCallbackMethod_Get<v1::Coordinator::WithCallbackMethod_PostTasks<
                    v1::Coordinator::WithCallbackMethod_FetchTask<v1::Coordinator::WithCallbackMethod_ReturnTask<
                        v1::Coordinator::WithCallbackMethod_TaskResults<v1::Coordinator::Service>>>>>>>>>>>>;

/// Handlers run on several threads at once. What it is given must outlive it.
class Rpc final : public HandlersInline {
 public:
  Rpc(coordinator::Service& service, WeightsStore& store, Averaging& averaging);

  grpc::ServerUnaryReactor* Join(grpc::CallbackServerContext*, const v1::JoinRequest*, v1::Directive*) override;
  grpc::ServerUnaryReactor* Heartbeat(grpc::CallbackServerContext*, const v1::HeartbeatRequest*,
                                      v1::Directive*) override;
  grpc::ServerWriteReactor<v1::Directive>* Watch(grpc::CallbackServerContext*, const v1::Caller*) override;
  grpc::ServerUnaryReactor* Leave(grpc::CallbackServerContext*, const v1::LeaveRequest*, v1::LeaveReply*) override;
  grpc::ServerUnaryReactor* Report(grpc::CallbackServerContext*, const v1::ReportRequest*, v1::ReportReply*) override;
  grpc::ServerUnaryReactor* Status(grpc::CallbackServerContext*, const v1::StatusRequest*, v1::StatusReply*) override;
  grpc::ServerUnaryReactor* Put(grpc::CallbackServerContext*, const v1::PutRequest*, v1::PutReply*) override;
  grpc::ServerUnaryReactor* Get(grpc::CallbackServerContext*, const v1::GetRequest*, v1::GetReply*) override;

  grpc::ServerUnaryReactor* PostTasks(grpc::CallbackServerContext*, const v1::PostTasksRequest*,
                                      v1::TaskProgress*) override;
  grpc::ServerUnaryReactor* FetchTask(grpc::CallbackServerContext*, const v1::FetchTaskRequest*,
                                      v1::FetchTaskReply*) override;
  grpc::ServerUnaryReactor* ReturnTask(grpc::CallbackServerContext*, const v1::ReturnTaskRequest*,
                                       v1::TaskProgress*) override;
  grpc::ServerUnaryReactor* TaskResults(grpc::CallbackServerContext*, const v1::TaskResultsRequest*,
                                        v1::TaskResultsReply*) override;

  grpc::Status HeldWeights(grpc::ServerContext*, const v1::WeightsQuery*, v1::WeightsReceipt*) override;
  grpc::Status Average(grpc::ServerContext*, const v1::AverageRequest*, v1::AverageReply*) override;

 private:
  using Giver = grpc::ServerReaderWriter<Chunk, v1::WeightsQuery>;

  // SendWeights and FetchWeights, with the same bytes on the wire and messages that copy no payload.
  void HandleChunks();
  void Receive(grpc::ServerContext& context, grpc::ServerReader<Chunk>& reader, v1::WeightsReceipt& receipt);
  void Give(Giver& stream);

  coordinator::Service& service_;
  WeightsStore& store_;
  Averaging& averaging_;
  std::atomic<int> streams_ = 0;  // of weights, both ways
};

}  // namespace basin::coordinator
