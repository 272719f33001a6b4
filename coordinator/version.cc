#include "coordinator/version.h"

#include <grpcpp/grpcpp.h>

namespace basin::coordinator {

std::string GrpcVersion() { return grpc::Version(); }

}  // namespace basin::coordinator
