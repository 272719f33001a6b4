#include "coordinator/server.h"

#include <condition_variable>
#include <mutex>
#include <thread>

#include "base/error.h"
#include "base/log.h"
#include "coordinator/address.h"
#include "coordinator/channel.h"
#include "coordinator/rpc.h"

namespace basin::coordinator {
namespace {

constexpr auto kTick = std::chrono::milliseconds(100);

void SetLimits(grpc::ServerBuilder& builder) {
  builder.SetMaxReceiveMessageSize(kMaxMessageBytes);
  builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, 16 << 10);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, 2 * kMaxMembers);
  // Chunks of weights in few frames, not in hundreds, and a window that a chunk fits into.
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_FRAME_SIZE, kMaxMessageBytes);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, 2 * kMaxMessageBytes);
  // That window stays as it is. Probing for a larger one costs pings all along and lets the memory of a stream grow; 2 MiB
  // are enough for 2 GB/s a member at a round trip of a millisecond.
  builder.AddChannelArgument(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  // Two coordinators that share a port would each see half of the members.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  // Clients ping when they hear nothing (channel.cc); more often than this is abuse.
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 2000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
}

}  // namespace

struct Server::Running {
  Running(ServerOptions given, const base::Clock& clock)
      : options(std::move(given)),
        service(options.rules, clock),
        store(options.folder),
        averaging(store, [this](const std::string& text) { service.Note(-1, text); }),
        rpc(service, store, averaging) {}

  void Listen() {
    Address at = ParseAddress(options.listen, "the coordinator's listening address");
    if (!IsLoopback(at.host) && options.reach != Reach::kNetwork) {
      throw ConfigError(Text("the coordinator's listening address is ", options.listen,
                             ", which other machines can reach; allowed here: 127.0.0.1, "
                             "localhost, [::1]. Start basin-coordinator with --listen to open it to the network"));
    }
    if (!IsLoopback(at.host) && options.tls.empty())
      base::LogWarning(Text("the coordinator listens on ", options.listen,
                            " in plain text: give it --tls-cert, --tls-key and --tls-ca"));
    grpc::ServerBuilder builder;
    SetLimits(builder);
    builder.AddListeningPort(at.text(), ServerCredentials(options.tls), &at.port);
    builder.RegisterService(&rpc);
    server = builder.BuildAndStart();
    if (server == nullptr || at.port == 0) {
      throw ConfigError(Text("cannot listen on ", options.listen, options.tls.empty() ? "" : " with these TLS files",
                             "; is the port in use, the address of another machine",
                             options.tls.empty() ? "?" : ", or the key not that of the certificate?"));
    }
    address = at.text();
  }

  void Work() {
    std::unique_lock lock(mutex);
    while (!stopping) {
      wake.wait_for(lock, kTick, [this] { return stopping; });
      lock.unlock();
      service.Tick();
      HandEventsOn();
      lock.lock();
    }
  }

  void HandEventsOn() {
    for (const EventLine& line : service.TakeEvents()) {
      if (options.on_event) options.on_event(line.unix_s, line.epoch, line.action);
    }
  }

  const ServerOptions options;
  Service service;
  WeightsStore store;
  Averaging averaging;
  Rpc rpc;
  std::unique_ptr<grpc::Server> server;
  std::string address;
  std::mutex mutex;
  std::condition_variable wake;
  bool stopping = false;  // guarded by mutex
  std::thread ticker;
};

Server::Server(ServerOptions options, const base::Clock& clock)
    : running_(std::make_unique<Running>(std::move(options), clock)) {
  PrepareGrpc();
  running_->Listen();
  running_->ticker = std::thread([this] { running_->Work(); });
}

Server::~Server() {
  {
    const std::lock_guard lock(running_->mutex);
    running_->stopping = true;
  }
  running_->wake.notify_all();
  running_->ticker.join();
  running_->server->Shutdown(std::chrono::system_clock::now());  // open watches are cancelled, not waited for
  running_->server->Wait();
}

const std::string& Server::address() const { return running_->address; }
Status Server::status() const { return running_->service.status(); }

}  // namespace basin::coordinator
