// The five kinds of failure. Libraries throw them; only launch/main maps them to exit codes.
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>

namespace basin {

/// Root of everything Basin throws on purpose. A message says what, where, found, allowed, way out.
struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};
/// The user can fix it in the configuration or on the command line. Exit code 2.
struct ConfigError : Error {
  using Error::Error;
};
/// A file is missing, cut short, damaged or of another version. Exit code 3.
struct DataError : Error {
  using Error::Error;
};
/// A peer is gone or late: its communicator is dead, never retry on it. Exit code 4.
struct CommError : Error {
  using Error::Error;
};
/// A broken invariant, so our own bug. Exit code 1.
struct CheckFailed : Error {
  using Error::Error;
};
/// The user asked to stop (SIGINT, SIGTERM). Exit code 130.
struct Interrupted : Error {
  using Error::Error;
};

/// Concatenates its arguments with operator<<: Text("found ", n, ", allowed ", m).
template <typename... Parts>
std::string Text(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

}  // namespace basin

/// Throws CheckFailed with file, line and the message parts when the invariant does not hold.
#define BASIN_CHECK(condition, ...)                                                       \
  do {                                                                                    \
    if (!(condition)) [[unlikely]] {                                                      \
      throw ::basin::CheckFailed(::basin::Text(__FILE__, ":", __LINE__, ": ", #condition, \
                                               " does not hold. " __VA_OPT__(, ) __VA_ARGS__)); \
    }                                                                                     \
  } while (false)
