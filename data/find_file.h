// Where a data set's files lie: directly in data.path or in the subfolder that the official archive unpacks to.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace basin::data {

/// The first of `subfolders` (relative to `folder`, "" is the folder itself) x `names` that is a regular file. DataError
/// that says what was looked for ("mnist"), where, and under which names.
std::filesystem::path FindFile(const std::filesystem::path& folder, const std::vector<std::string>& subfolders,
                               const std::vector<std::string>& names, std::string_view what);

/// DataError unless `folder` is a folder.
void RequireFolder(const std::filesystem::path& folder, std::string_view what);

}  // namespace basin::data
