#include "base/log.h"

#include <spdlog/logger.h>
#include <spdlog/sinks/stdout_color_sinks.h>

#include <array>
#include <cstdlib>
#include <memory>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/nearest.h"

namespace basin::base {
namespace {

constexpr std::array<std::pair<std::string_view, LogLevel>, 5> kLevels = {{
    {"debug", LogLevel::kDebug},
    {"info", LogLevel::kInfo},
    {"warning", LogLevel::kWarning},
    {"error", LogLevel::kError},
    {"off", LogLevel::kOff},
}};

thread_local std::string thread_prefix;

spdlog::level::level_enum ToSpdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
    case LogLevel::kOff:
      return spdlog::level::off;
  }
  throw CheckFailed(Text("unknown log level ", static_cast<int>(level)));
}

// Never destroyed, so that threads and static destructors that outlive main can still log.
spdlog::logger& Logger() {
  static spdlog::logger* const logger = [] {
    const char* no_color = std::getenv("NO_COLOR");  // https://no-color.org: set and not empty
    const bool colourless = no_color != nullptr && *no_color != '\0';
    // "automatic" also means: no colours when standard error is not a terminal.
    auto sink = std::make_shared<spdlog::sinks::stderr_color_sink_mt>(
        colourless ? spdlog::color_mode::never : spdlog::color_mode::automatic);
    auto* made = new spdlog::logger("basin", std::move(sink));
    made->set_pattern("[%Y-%m-%d %H:%M:%S.%e] [%^%l%$] %v");
    made->set_level(spdlog::level::info);
    return made;
  }();
  return *logger;
}

void Log(spdlog::level::level_enum level, std::string_view text) {
  if (!Logger().should_log(level)) return;
  std::string line;
  line.reserve(thread_prefix.size() + text.size() + 3);
  if (!thread_prefix.empty()) line.append("[").append(thread_prefix).append("] ");
  for (const char c : text) {  // a line break inside would tear one event into several lines
    if (c == '\n') {
      line += "\\n";
    } else if (c == '\r') {
      line += "\\r";
    } else {
      line += c;
    }
  }
  Logger().log(level, spdlog::string_view_t(line.data(), line.size()));
}

}  // namespace

LogLevel ParseLogLevel(std::string_view name) {
  std::vector<std::string> allowed;
  for (const auto& [level_name, level] : kLevels) {
    if (level_name == name) return level;
    allowed.emplace_back(level_name);
  }
  const std::string nearest = NearestName(name, allowed);
  throw ConfigError(Text("unknown log level '", name, "'; allowed: ", JoinNames(allowed), ".",
                         nearest.empty() ? "" : " Did you mean '" + nearest + "'?"));
}

void SetLogLevel(LogLevel level) { Logger().set_level(ToSpdlog(level)); }
void SetLogPrefix(std::string prefix) { thread_prefix = std::move(prefix); }

void LogDebug(std::string_view text) { Log(spdlog::level::debug, text); }
void LogInfo(std::string_view text) { Log(spdlog::level::info, text); }
void LogWarning(std::string_view text) { Log(spdlog::level::warn, text); }
void LogError(std::string_view text) { Log(spdlog::level::err, text); }

}  // namespace basin::base
