#pragma once

#include <string>

namespace basin::launch {

/// Versions of Basin and of the libraries that it runs with, one a line.
std::string VersionText();

}  // namespace basin::launch
