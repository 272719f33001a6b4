// HOST:PORT, as people write it.
#pragma once

#include <string>
#include <string_view>

namespace basin::coordinator {

struct Address {
  std::string host;  ///< without brackets
  int port = 0;      ///< 0: any free one (listening only)
  std::string text() const;
};

/// "127.0.0.1:7700", "node3:7700", "[::1]:7700". ConfigError otherwise; `what` names the option in its message.
Address ParseAddress(std::string_view text, std::string_view what);

/// Whether the host is this machine alone: localhost, 127.x.x.x, ::1.
bool IsLoopback(const std::string& host);

}  // namespace basin::coordinator
