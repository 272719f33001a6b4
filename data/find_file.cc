#include "data/find_file.h"

#include <system_error>

#include "base/error.h"
#include "base/nearest.h"

namespace basin::data {

std::filesystem::path FindFile(const std::filesystem::path& folder, const std::vector<std::string>& subfolders,
                               const std::vector<std::string>& names, std::string_view what) {
  RequireFolder(folder, what);
  std::vector<std::string> tried;
  for (const std::string& subfolder : subfolders) {
    for (const std::string& name : names) {
      const std::filesystem::path relative = std::filesystem::path(subfolder) / name;
      std::error_code ignored;  // unreadable is as good as missing: the message lists the names
      if (std::filesystem::is_regular_file(folder / relative, ignored)) return folder / relative;
      tried.push_back(relative.string());
    }
  }
  throw DataError(Text(what, ": no such file in ", folder.string(), "; looked for ", base::JoinNames(tried),
                       ". Put the file there or correct data.path"));
}

void RequireFolder(const std::filesystem::path& folder, std::string_view what) {
  std::error_code ignored;
  if (std::filesystem::is_directory(folder, ignored)) return;
  throw DataError(Text(what, ": data.path ", folder.string(),
                       std::filesystem::exists(folder, ignored) ? " is not a folder" : " does not exist",
                       "; it must be the folder that holds the data set's files"));
}

}  // namespace basin::data
