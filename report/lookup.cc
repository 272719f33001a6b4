#include "report/lookup.h"

namespace basin::report {

const base::Json& ValueAt(const base::Json& json, std::initializer_list<const char*> path) {
  static const base::Json null;
  const base::Json* at = &json;
  for (const char* key : path) {
    if (!at->is_object() || !at->contains(key)) return null;
    at = &(*at)[key];
  }
  return *at;
}

std::optional<double> NumberAt(const base::Json& json, std::initializer_list<const char*> path) {
  const base::Json& value = ValueAt(json, path);
  return value.is_number() ? std::optional(value.get<double>()) : std::nullopt;
}

std::string TextAt(const base::Json& json, std::initializer_list<const char*> path) {
  const base::Json& value = ValueAt(json, path);
  return value.is_string() ? value.get<std::string>() : std::string();
}

const base::Json& ListAt(const base::Json& json, const char* key) {
  static const base::Json empty = base::Json::array();
  const base::Json& value = ValueAt(json, {key});
  return value.is_array() ? value : empty;
}

}  // namespace basin::report
