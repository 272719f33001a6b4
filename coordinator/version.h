#pragma once

#include <string>

namespace basin::coordinator {

/// Of the gRPC library in use, e.g. "1.51.1".
std::string GrpcVersion();

}  // namespace basin::coordinator
