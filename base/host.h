#pragma once

#include <string>

namespace basin::base {

/// This machine's name as gethostname(2) tells it; "unknown" when it does not. Any thread.
std::string HostName();

}  // namespace basin::base
