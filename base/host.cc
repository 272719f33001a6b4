#include "base/host.h"

#include <unistd.h>

#include <array>

namespace basin::base {

std::string HostName() {
  std::array<char, 256> name{};  // one byte stays 0: a name that is cut need not be terminated
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "unknown";
}

}  // namespace basin::base
