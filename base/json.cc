#include "base/json.h"

#include <string>

#include "base/error.h"
#include "base/files.h"

namespace basin::base {

Json ReadJson(const std::filesystem::path& path) {
  const std::string text = ReadFile(path);
  try {
    return Json::parse(text);
  } catch (const Json::exception& error) {
    throw DataError(Text(path.string(), ": not valid JSON: ", error.what(),
                         ". Restore the file or write it anew."));
  }
}

void WriteJson(const std::filesystem::path& path, const Json& value) {
  // The library itself writes NaN and infinities as null. Bytes that are no UTF-8 (a host name, a
  // path) become U+FFFD: a strange name must not cost the results of a run.
  const std::string text =
      value.dump(2, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace);
  WriteFileAtomically(path, text + "\n");
}

}  // namespace basin::base
