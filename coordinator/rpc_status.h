// What the caller of an RPC is told when its handler throws.
#pragma once

#include <grpcpp/grpcpp.h>

#include "coordinator/service.h"

namespace basin::coordinator {

template <typename Action>
grpc::Status StatusOfCall(Action action) {
  try {
    action();
    return grpc::Status::OK;
  } catch (const Refused& refused) {
    switch (refused.why) {
      case Refused::Why::kInvalid: return {grpc::StatusCode::INVALID_ARGUMENT, refused.what()};
      case Refused::Why::kNotAllowed: return {grpc::StatusCode::PERMISSION_DENIED, refused.what()};
      case Refused::Why::kTooMuch: return {grpc::StatusCode::RESOURCE_EXHAUSTED, refused.what()};
      case Refused::Why::kNotThere: return {grpc::StatusCode::NOT_FOUND, refused.what()};
    }
  } catch (const std::exception& failure) {
    return {grpc::StatusCode::INTERNAL, failure.what()};
  }
  return {grpc::StatusCode::INTERNAL, "unknown refusal"};
}

template <typename Action>
grpc::ServerUnaryReactor* Answer(grpc::CallbackServerContext* context, Action action) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(StatusOfCall(action));
  return reactor;
}

}  // namespace basin::coordinator
