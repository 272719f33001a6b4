// The only door to nlohmann-json. Object keys keep their insertion order, so files read as they were written.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>

namespace basin::base {

using Json = nlohmann::ordered_json;

/// Parses a JSON file; DataError with path and position when it is missing or malformed.
Json ReadJson(const std::filesystem::path& path);
/// A whole number that fits int64. DataError for anything else, 1.0 and 1e40 included, whose conversion would not be defined.
int64_t WholeNumber(const Json& value);
/// Atomic, indented by two, with a final newline. Non-finite numbers become null.
void WriteJson(const std::filesystem::path& path, const Json& value);

}  // namespace basin::base
