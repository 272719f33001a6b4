// One line per event on standard error, prefixed with time, level and (when known) rank. The only door to spdlog.
#pragma once

#include <string>
#include <string_view>

namespace basin::base {

enum class LogLevel { kDebug, kInfo, kWarning, kError, kOff };

/// Parses debug | info | warning | error | off; throws ConfigError with the allowed names.
LogLevel ParseLogLevel(std::string_view name);
/// Process-wide threshold (default info). Thread-safe.
void SetLogLevel(LogLevel level);
/// Prefix such as "rank 2" for every line of the calling thread; empty: none.
void SetLogPrefix(std::string prefix);

/// Each writes exactly one line. Thread-safe.
void LogDebug(std::string_view text);
void LogInfo(std::string_view text);
void LogWarning(std::string_view text);
void LogError(std::string_view text);

}  // namespace basin::base
