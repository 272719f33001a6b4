#include "coordinator/channel.h"

#include <grpc/grpc.h>
#include <grpc/support/log.h>

#include <mutex>

#include "base/error.h"
#include "base/files.h"
#include "base/log.h"
#include "coordinator/address.h"
#include "coordinator/limits.h"
#include "coordinator/wire.h"

namespace basin::coordinator {
namespace {

struct PemFiles {
  std::string cert, key, ca;
};

std::string ReadPem(const std::string& path, const char* what) {
  if (path.empty()) throw ConfigError(Text("tls.", what, " is missing; TLS needs all three: cert, key, ca"));
  std::string text;
  try {
    text = base::ReadFile(path);
  } catch (const DataError& failure) {
    throw ConfigError(Text("tls.", what, ": ", failure.what()));
  }
  if (text.find("-----BEGIN ") == std::string::npos)
    throw ConfigError(Text("tls.", what, ": ", path, " is not a PEM file (no -----BEGIN line)"));
  return text;
}

PemFiles ReadPemFiles(const Tls& tls) {
  return {ReadPem(tls.cert, "cert"), ReadPem(tls.key, "key"), ReadPem(tls.ca, "ca")};
}

void LogOfGrpc(gpr_log_func_args* args) { base::LogDebug(Text("grpc: ", args->message)); }

grpc::ChannelArguments ChannelSettings(const Tls& tls) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(16 * kMaxMessageBytes);  // the status of thousands of members
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);            // the control plane never leaves through a web proxy
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL,
                   1);  // two members of one process share no connection, and no fate
  arguments.SetInt(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
  // A restarted coordinator should be found within a beat, not after gRPC's default of up to two minutes.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 200);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
  // A cut wire sends nothing: ask, and give the connection up when no answer comes.
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 5000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 5000);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  // Chunks of weights in few frames, not in hundreds.
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_FRAME_SIZE, kMaxMessageBytes);
  arguments.SetInt(GRPC_ARG_HTTP2_WRITE_BUFFER_SIZE, kMaxMessageBytes);
  // As the coordinator's own (server.cc).
  arguments.SetInt(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, 2 * kMaxMessageBytes);
  arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  if (!tls.server_name.empty()) arguments.SetSslTargetNameOverride(tls.server_name);
  return arguments;
}

}  // namespace

void PrepareGrpc() {
  static std::once_flag once;
  std::call_once(once, [] {
    gpr_set_log_function(LogOfGrpc);
    // Held to the end of the process: when its last user goes, the library waits for a poller of its own that may sleep for
    // ten seconds after a large write.
    grpc_init();
  });
}

std::shared_ptr<grpc::ServerCredentials> ServerCredentials(const Tls& tls) {
  if (tls.empty()) return grpc::InsecureServerCredentials();
  const PemFiles pem = ReadPemFiles(tls);
  grpc::SslServerCredentialsOptions options(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  options.pem_root_certs = pem.ca;
  options.pem_key_cert_pairs.push_back({pem.key, pem.cert});
  return grpc::SslServerCredentials(options);
}

std::shared_ptr<grpc::Channel> OpenChannel(const std::string& address, const Tls& tls) {
  PrepareGrpc();
  const Address at = ParseAddress(address, "the coordinator's address");
  if (at.port == 0)
    throw ConfigError(Text("the coordinator's address is ", address, "; a port of 1 to 65535 is needed to connect"));
  std::shared_ptr<grpc::ChannelCredentials> credentials = grpc::InsecureChannelCredentials();
  if (!tls.empty()) {
    const PemFiles pem = ReadPemFiles(tls);
    credentials =
        grpc::SslCredentials({.pem_root_certs = pem.ca, .pem_private_key = pem.key, .pem_cert_chain = pem.cert});
  }
  return grpc::CreateCustomChannel(at.text(), credentials, ChannelSettings(tls));
}

std::string Explain(const grpc::Status& status, const std::string& address, const Tls& tls) {
  const std::string said = Printable(status.error_message(), 8 * kMaxReasonBytes);
  switch (status.error_code()) {
    case grpc::StatusCode::INVALID_ARGUMENT:
    case grpc::StatusCode::PERMISSION_DENIED:
    case grpc::StatusCode::RESOURCE_EXHAUSTED: return Text("the coordinator at ", address, " refused: ", said);
    case grpc::StatusCode::NOT_FOUND: return said;
    case grpc::StatusCode::UNIMPLEMENTED:
      return Text("what listens at ", address, " is no Basin coordinator, or one of another version (", said, ")");
    case grpc::StatusCode::UNAVAILABLE:
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      return Text("no answer from a coordinator at ", address, ": ", said,
                  tls.empty() ? ". Is it running there? If it asks for certificates, give --tls-cert, --tls-key and "
                                "--tls-ca (YAML: coordinator.tls)"
                              : ". Is it running there, with TLS? Are both certificates signed by tls.ca and valid "
                                "today, and does the coordinator's one name this host?");
    default: return Text("the call to the coordinator at ", address, " failed: ", said);
  }
}

}  // namespace basin::coordinator
