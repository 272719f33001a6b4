#include "coordinator/address.h"

#include <algorithm>
#include <charconv>

#include "base/error.h"

namespace basin::coordinator {

std::string Address::text() const {
  const bool is_ipv6 = host.find(':') != std::string::npos;
  return is_ipv6 ? Text("[", host, "]:", port) : Text(host, ":", port);
}

Address ParseAddress(std::string_view text, std::string_view what) {
  const auto fail = [&]() -> Address {
    throw ConfigError(Text(what, " is '", text,
                           "'; it must be HOST:PORT, e.g. 127.0.0.1:7700 or [::1]:7700, with a port of 0 to 65535"));
  };
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return fail();
  std::string_view host = text.substr(0, colon);
  const std::string_view port = text.substr(colon + 1);
  const bool bracketed = host.size() >= 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  if (!bracketed && host.find(':') != std::string_view::npos) return fail();
  const bool plain = std::ranges::all_of(host, [](unsigned char c) {
    return std::isalnum(c) || c == '.' || c == '-' || c == '_' || c == ':' || c == '%';
  });
  if (host.empty() || !plain) return fail();
  Address address{.host = std::string(host)};
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), address.port);
  if (error != std::errc() || end != port.data() + port.size() || address.port < 0 || address.port > 65535)
    return fail();
  return address;
}

bool IsLoopback(const std::string& host) {
  if (host == "localhost" || host == "::1") return true;
  // Only the dotted form: a name such as 127.example.org may lead anywhere.
  const bool dotted = std::ranges::all_of(host, [](unsigned char c) { return std::isdigit(c) || c == '.'; });
  return dotted && host.starts_with("127.");
}

}  // namespace basin::coordinator
