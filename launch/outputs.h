// What --out may name, checked before any work.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace basin::launch {

/// ConfigError when the file, or FILE.json beside it where `with_report`, is one of the inputs (under whatever name) or a folder.
void CheckOutputFile(const std::filesystem::path& out, const std::vector<std::string>& inputs, bool with_report = true);
/// ConfigError when it is there and no folder.
void CheckOutputFolder(const std::filesystem::path& out);

}  // namespace basin::launch
