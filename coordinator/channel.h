// How both sides reach each other: credentials, channel settings, and what a failed call means in words.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>

#include "coordinator/types.h"

namespace basin::coordinator {

/// gRPC's own log lines go to the debug log. Idempotent.
void PrepareGrpc();

/// Plain text without files. With them both sides show a certificate of the authority `ca`. ConfigError: not all three
/// files are given, or one cannot be read or is no PEM file.
std::shared_ptr<grpc::ServerCredentials> ServerCredentials(const Tls& tls);
std::shared_ptr<grpc::Channel> OpenChannel(const std::string& address, const Tls& tls);

/// "cannot reach the coordinator at HOST:PORT: ...", with the likely reasons.
std::string Explain(const grpc::Status& status, const std::string& address, const Tls& tls);

}  // namespace basin::coordinator
