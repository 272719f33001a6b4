// What every field from the wire goes through. Refused names the field, what it held and what is allowed.
#pragma once

#include <cstdint>
#include <string>

#include "base/error.h"
#include "coordinator/service.h"
#include "coordinator/wire.h"

namespace basin::coordinator {

[[noreturn]] inline void Refuse(const std::string& text) { throw Refused(Refused::Why::kInvalid, text); }

inline int64_t InRange(const char* field, int64_t value, int64_t low, int64_t high) {
  if (value < low || value > high) Refuse(Text(field, " is ", value, "; allowed: ", low, " to ", high));
  return value;
}

inline double InRange(const char* field, double value, double low, double high) {
  if (!(value >= low && value <= high)) Refuse(Text(field, " is ", value, "; allowed: ", low, " to ", high));
  return value;
}

/// Printable, and no longer than allowed.
inline std::string Short(const char* field, const std::string& text, size_t max_bytes) {
  if (text.size() > max_bytes) Refuse(Text(field, " has ", text.size(), " bytes; allowed: ", max_bytes));
  return Printable(text, max_bytes);
}

}  // namespace basin::coordinator
