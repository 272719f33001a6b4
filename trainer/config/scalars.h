// Words of YAML as numbers and truth values, and back.
#pragma once

#include <cstdint>
#include <string>

#include "trainer/config/keys.h"

namespace basin::trainer {

/// The value, or a problem at `path` and `fallback`.
double ReadNumber(const Yaml& node, const std::string& path, const Range& range, double fallback, Problems& problems);
int64_t ReadInteger(const Yaml& node, const std::string& path, const IntRange& range, int64_t fallback, Problems& problems);

/// The shortest text that reads back as the same double, with a dot, so that YAML 1.1 readers see a number: 1.0e-4.
std::string NumberText(double value);
Yaml PrintNumber(double value);
Yaml PrintInteger(int64_t value);

}  // namespace basin::trainer
