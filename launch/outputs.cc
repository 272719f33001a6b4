#include "launch/outputs.h"

#include "base/error.h"

namespace basin::launch {

void CheckOutputFile(const std::filesystem::path& out, const std::vector<std::string>& inputs, bool with_report) {
  if (out.empty()) throw ConfigError("--out is empty; name a file");
  std::vector<std::filesystem::path> written{out};
  if (with_report) written.emplace_back(out.string() + ".json");
  std::error_code ignored;
  for (const auto& file : written) {
    if (std::filesystem::is_directory(file, ignored)) throw ConfigError(Text("--out: ", file.string(), " would be written, but it is a folder; name another file"));
    for (const std::string& input : inputs) {
      if (!std::filesystem::equivalent(file, input, ignored)) continue;
      throw ConfigError(Text("--out: ", file.string(), " would be written, but it is an input (", input, "); name another file"));
    }
  }
}

void CheckOutputFolder(const std::filesystem::path& out) {
  std::error_code ignored;
  if (std::filesystem::exists(out, ignored) && !std::filesystem::is_directory(out, ignored)) {
    throw ConfigError(Text("--out: ", out.string(), " is a file; name a folder"));
  }
}

}  // namespace basin::launch
