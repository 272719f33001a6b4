// Numbers in CSV files.
#pragma once

#include <charconv>
#include <cmath>
#include <string>

namespace basin::trainer {

/// The shortest text that reads back as the same double; empty for NaN (a missing value).
inline std::string Number(double value) {
  if (std::isnan(value)) return "";
  char text[32];
  return {text, std::to_chars(text, text + sizeof text, value).ptr};
}

}  // namespace basin::trainer
