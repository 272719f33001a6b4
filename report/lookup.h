// What a result.json says, asked without trust: it may be of another version, or edited by hand.
#pragma once

#include <initializer_list>
#include <optional>
#include <string>

#include "base/json.h"

namespace basin::report {

/// The value at json[path[0]][path[1]]...; null when it is not there.
const base::Json& ValueAt(const base::Json& json, std::initializer_list<const char*> path);
/// The number there; nothing when there is none.
std::optional<double> NumberAt(const base::Json& json, std::initializer_list<const char*> path);
/// The text there; empty when there is none.
std::string TextAt(const base::Json& json, std::initializer_list<const char*> path);
/// The array at json[key]; empty when there is none.
const base::Json& ListAt(const base::Json& json, const char* key);

}  // namespace basin::report
