// The coordinator as a server: listens, ticks, hands its record of events on. No gRPC type in this header.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "base/clock.h"
#include "coordinator/membership.h"
#include "coordinator/types.h"

namespace basin::coordinator {

/// Who may reach the port. The default of every embedded coordinator is this machine alone.
enum class Reach { kThisMachine, kNetwork };

struct ServerOptions {
  std::string listen = "127.0.0.1:0";  ///< HOST:PORT; port 0: any free one
  Reach reach = Reach::kThisMachine;   ///< kNetwork is asked for, never assumed
  Tls tls{};                           ///< given: clients must show a certificate of the same authority
  Rules rules{};
  /// Where members' weights and averages are kept: an existing folder of this run alone. Empty: none are taken.
  std::filesystem::path folder{};
  /// An event of the run: its time (seconds since 1970), the epoch, and what happened. Called from one thread of the
  /// server, in order, never after the destructor returned.
  std::function<void(double unix_s, int64_t epoch, const Action& action)> on_event{};
};

/// Runs from construction to destruction. Threads of its own: gRPC's, one that ticks ten times a second, one that averages.
class Server {
 public:
  /// ConfigError: a malformed address, a non-loopback one without Reach::kNetwork, missing or unusable TLS files, or an
  /// address that cannot be listened on (in use, not of this machine). The clock must outlive the server.
  Server(ServerOptions options, const base::Clock& clock);
  /// Cancels what is under way and returns within seconds, unless a large file is just being checked and synced.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// HOST:PORT to connect to, with the port that was really taken.
  const std::string& address() const;
  Status status() const;

 private:
  struct Running;
  std::unique_ptr<Running> running_;
};

}  // namespace basin::coordinator
