#include "coordinator/rpc.h"

#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "coordinator/rpc_status.h"
#include "coordinator/wire.h"

namespace basin::coordinator {
namespace {

/// One member's stream. Only the newest directive counts, so at most one waits while one is being written, however
/// slowly the member reads. Lives until gRPC says OnDone; pushes that come later find `over_`.
class WatchStream final : public grpc::ServerWriteReactor<v1::Directive>,
                          public std::enable_shared_from_this<WatchStream> {
 public:
  static WatchStream* Open(Service& service, const v1::Caller& request) {
    const auto stream = std::make_shared<WatchStream>(service);
    stream->self_ = stream;
    const grpc::Status status = StatusOfCall([&] {
      stream->caller_ = FromWire(request);
      stream->watch_ = service.Open(stream->caller_, [weak = std::weak_ptr(stream)](const Directive& directive) {
        if (const auto held = weak.lock()) held->Push(directive);
      });
    });
    // Whoever is no member is told so, and that is all there is to tell.
    if (!status.ok() || stream->watch_ == 0) stream->EndAfterWriting(status);
    return stream.get();
  }

  explicit WatchStream(Service& service) : service_(service) {}

  void OnWriteDone(bool ok) override {
    const std::lock_guard lock(mutex_);
    writing_ = false;
    if (over_) return;
    if (!ok) {
      EndNow(grpc::Status::CANCELLED);
    } else if (waiting_) {
      StartNext();
    } else if (end_) {
      EndNow(*end_);
    }
  }
  void OnCancel() override {
    const std::lock_guard lock(mutex_);
    EndNow(grpc::Status::CANCELLED);
  }
  void OnDone() override {
    if (watch_ != 0) service_.Close(caller_, watch_);
    self_.reset();  // the last line: this may be gone
  }

 private:
  void Push(const Directive& directive) {
    const std::lock_guard lock(mutex_);
    if (over_) return;
    waiting_ = ToWire(directive);
    if (!writing_) StartNext();
  }
  void StartNext() {
    message_ = std::move(*waiting_);
    waiting_.reset();
    writing_ = true;
    StartWrite(&message_);
  }
  void EndAfterWriting(grpc::Status status) {
    const std::lock_guard lock(mutex_);
    end_ = std::move(status);
    if (!writing_) EndNow(*end_);
  }
  void EndNow(const grpc::Status& status) {
    if (std::exchange(over_, true)) return;
    Finish(status);
  }

  Service& service_;
  Caller caller_;
  uint64_t watch_ = 0;
  std::shared_ptr<WatchStream> self_;
  std::mutex mutex_;  // guards what follows; taken after the service's, never before it
  v1::Directive message_;
  std::optional<v1::Directive> waiting_;
  std::optional<grpc::Status> end_;
  bool writing_ = false, over_ = false;
};

}  // namespace

grpc::ServerUnaryReactor* Rpc::Join(grpc::CallbackServerContext* context, const v1::JoinRequest* request,
                                    v1::Directive* reply) {
  return Answer(context, [&] { *reply = ToWire(service_.Handle(FromWire(*request))); });
}

grpc::ServerUnaryReactor* Rpc::Heartbeat(grpc::CallbackServerContext* context, const v1::HeartbeatRequest* request,
                                         v1::Directive* reply) {
  return Answer(context, [&] { *reply = ToWire(service_.Handle(FromWire(*request))); });
}

grpc::ServerWriteReactor<v1::Directive>* Rpc::Watch(grpc::CallbackServerContext*, const v1::Caller* request) {
  return WatchStream::Open(service_, *request);
}

grpc::ServerUnaryReactor* Rpc::Leave(grpc::CallbackServerContext* context, const v1::LeaveRequest* request,
                                     v1::LeaveReply*) {
  return Answer(context, [&] { service_.Handle(FromWire(*request)); });
}

grpc::ServerUnaryReactor* Rpc::Report(grpc::CallbackServerContext* context, const v1::ReportRequest* request,
                                      v1::ReportReply*) {
  return Answer(context, [&] { service_.Report(FromWire(request->caller()), FromWire(*request)); });
}

grpc::ServerUnaryReactor* Rpc::Status(grpc::CallbackServerContext* context, const v1::StatusRequest*,
                                      v1::StatusReply* reply) {
  return Answer(context, [&] { *reply = ToWire(service_.Ask()); });
}

grpc::ServerUnaryReactor* Rpc::Put(grpc::CallbackServerContext* context, const v1::PutRequest* request, v1::PutReply*) {
  return Answer(context, [&] { service_.Put(FromWire(request->caller()), request->key(), request->value()); });
}

grpc::ServerUnaryReactor* Rpc::Get(grpc::CallbackServerContext* context, const v1::GetRequest* request,
                                   v1::GetReply* reply) {
  return Answer(context, [&] {
    if (request->key().size() > kMaxKeyBytes)
      throw Refused(Refused::Why::kInvalid,
                    Text("the key has ", request->key().size(), " bytes; allowed: ", kMaxKeyBytes));
    const std::optional<std::string> value = service_.Get(FromWire(request->caller()), request->key());
    reply->set_found(value.has_value());
    if (value) reply->set_value(*value);
  });
}

}  // namespace basin::coordinator
