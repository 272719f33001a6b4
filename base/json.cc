#include "base/json.h"

#include <cstdint>
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

int64_t WholeNumber(const Json& value) {
  const bool fits = value.is_number_integer() && !(value.is_number_unsigned() && value.get<uint64_t>() > uint64_t{INT64_MAX});
  if (!fits) throw DataError(Text(value.dump().substr(0, 80), " is not a whole number, or too large"));
  return value.get<int64_t>();
}

void WriteJson(const std::filesystem::path& path, const Json& value) {
  // The library itself writes NaN and infinities as null. Bytes that are no UTF-8 (a host name, a
  // path) become U+FFFD: a strange name must not cost the results of a run.
  const std::string text =
      value.dump(2, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace);
  WriteFileAtomically(path, text + "\n");
}

}  // namespace basin::base
