#include "trainer/config/scalars.h"

#include <array>
#include <charconv>
#include <cmath>
#include <system_error>
#include <utility>

#include "base/error.h"

namespace basin::trainer {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr int64_t kMaxInteger = std::numeric_limits<int64_t>::max();

template <typename T>
std::errc Convert(const std::string& text, T& value) {
  const char* begin = text.data() + (text.size() > 1 && text[0] == '+' ? 1 : 0);
  const char* end = text.data() + text.size();
  const auto [stopped, failure] = std::from_chars(begin, end, value);
  return stopped == end ? failure : std::errc::invalid_argument;
}

bool IsNotFinite(const std::string& text) {
  static constexpr std::array kWords{".nan", ".NaN", ".NAN", "nan", "NaN", ".inf", ".Inf", ".INF", "+.inf", "-.inf", "inf", "-inf"};
  for (const char* word : kWords) {
    if (text == word) return true;
  }
  return false;
}

std::string Outside(const std::string& found, const std::string& range) {
  if (range.starts_with("in ")) return found + " is outside " + range.substr(3);
  return found + " is not allowed; it must be " + range;
}

template <typename T, typename ReadItem>
void ReadItems(const Yaml& node, const std::string& path, Problems& problems, std::vector<T>& values, const ReadItem& read) {
  if (!node.IsList()) {
    problems.Add(node.where, path, node.Found() + " is not a list; write [value, value, ...]");
    return;
  }
  values.clear();
  for (size_t i = 0; i < node.items.size(); ++i) values.push_back(read(node.items[i], Text(path, "[", i, "]")));
}

/// A number with its unit, or a problem at `path` and `fallback`.
double ReadQuantity(const Yaml& node, const std::string& path, double (*parse)(std::string_view), double fallback, Problems& problems) {
  try {
    return parse(node.IsScalar() ? node.text : node.Found());
  } catch (const ConfigError& refused) {
    problems.Add(node.where, path, refused.what());
    return fallback;
  }
}

template <typename T>
Yaml PrintItems(const std::vector<T>& values, Yaml (*print)(T)) {
  std::vector<Yaml> items;
  for (const T& value : values) items.push_back(print(value));
  return Yaml::List(std::move(items));
}

}  // namespace

bool Range::Contains(double x) const {
  return std::isfinite(x) && (low_open ? x > low : x >= low) && (high_open ? x < high : x <= high);
}

std::string Range::ToText() const {
  if (low == -kInfinity && high == kInfinity) return "finite";
  if (high == kInfinity) return Text(low_open ? "> " : ">= ", low);
  return Text("in ", low_open ? "(" : "[", low, ", ", high, high_open ? ")" : "]");
}

std::string IntRange::ToText() const { return high == kMaxInteger ? Text(">= ", low) : Text("in [", low, ", ", high, "]"); }

double ReadNumber(const Yaml& node, const std::string& path, const Range& range, double fallback, Problems& problems) {
  double value = 0;
  const std::string allowed = Text("; it must be ", range.ToText());
  if (node.IsScalar() && !node.quoted && IsNotFinite(node.text)) {
    problems.Add(node.where, path, node.text + " is not a finite number" + allowed);
    return fallback;
  }
  const std::errc failure =
      node.IsScalar() && !node.quoted ? Convert(node.text, value) : std::errc::invalid_argument;
  if (failure == std::errc::invalid_argument) {
    problems.Add(node.where, path, node.Found() + " is not a number" + allowed);
  } else if (failure != std::errc{}) {
    problems.Add(node.where, path, node.text + " does not fit a double" + allowed);
  } else if (!range.Contains(value)) {
    problems.Add(node.where, path, Outside(node.text, range.ToText()));
  } else {
    return value;
  }
  return fallback;
}

int64_t ReadInteger(const Yaml& node, const std::string& path, const IntRange& range, int64_t fallback, Problems& problems) {
  int64_t value = 0;
  const std::errc failure =
      node.IsScalar() && !node.quoted ? Convert(node.text, value) : std::errc::invalid_argument;
  if (failure == std::errc::invalid_argument) {
    problems.Add(node.where, path, Text(node.Found(), " is not a whole number; it must be ", range.ToText()));
  } else if (failure != std::errc{}) {
    problems.Add(node.where, path, Text(node.text, " is outside [", range.low, ", ", range.high, "]"));
  } else if (value < range.low || value > range.high) {
    problems.Add(node.where, path, Outside(node.text, range.ToText()));
  } else {
    return value;
  }
  return fallback;
}

std::string NumberText(double value) {
  std::array<char, 40> buffer{};
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value).ptr;
  std::string text(buffer.data(), end);
  const size_t e = text.find('e');
  std::string exponent = e == std::string::npos ? "" : text.substr(e);
  text = text.substr(0, e);
  if (exponent.size() > 3 && exponent[2] == '0') exponent.erase(2, 1);
  if (text.find('.') == std::string::npos) text += ".0";
  return text + exponent;
}

Yaml PrintNumber(double value) { return Yaml::Plain(NumberText(value)); }
Yaml PrintInteger(int64_t value) { return Yaml::Plain(std::to_string(value)); }

bool Keys::Number(const std::string& key, double& value, const Range& range) {
  return Value(
      key, [&](const Yaml& node, const std::string& path, Problems& problems) { value = ReadNumber(node, path, range, value, problems); },
      [&] { return PrintNumber(value); });
}

bool Keys::Number(const std::string& key, std::optional<double>& value, const Range& range) {
  const auto read = [&](const Yaml& node, const std::string& path, Problems& problems) {
    value.reset();
    if (!node.IsNull()) value = ReadNumber(node, path, range, 0, problems);
  };
  return Value(key, read, [&] { return value ? PrintNumber(*value) : Yaml{}; });
}

bool Keys::Integer(const std::string& key, int64_t& value, const IntRange& range) {
  return Value(
      key, [&](const Yaml& node, const std::string& path, Problems& problems) { value = ReadInteger(node, path, range, value, problems); },
      [&] { return PrintInteger(value); });
}

bool Keys::Integer(const std::string& key, int& value, const IntRange& range) {
  int64_t wide = value;
  const bool fine = Integer(key, wide, range);
  value = static_cast<int>(wide);
  return fine;
}

bool Keys::Integer(const std::string& key, std::optional<int64_t>& value, const IntRange& range) {
  const auto read = [&](const Yaml& node, const std::string& path, Problems& problems) {
    value.reset();
    if (!node.IsNull()) value = ReadInteger(node, path, range, range.low, problems);
  };
  return Value(key, read, [&] { return value ? PrintInteger(*value) : Yaml{}; });
}

bool Keys::Flag(const std::string& key, bool& value) {
  const auto read = [&](const Yaml& node, const std::string& path, Problems& problems) {
    const bool word = node.IsScalar() && !node.quoted;
    const bool yes = word && (node.text == "true" || node.text == "True" || node.text == "TRUE");
    const bool no = word && (node.text == "false" || node.text == "False" || node.text == "FALSE");
    if (!yes && !no) problems.Add(node.where, path, node.Found() + " is not a truth value; allowed: true, false");
    if (yes || no) value = yes;
  };
  return Value(key, read, [&] { return Yaml::Plain(value ? "true" : "false"); });
}

bool Keys::String(const std::string& key, std::string& value) {
  const auto read = [&](const Yaml& node, const std::string& path, Problems& problems) {
    if (!node.IsScalar() || node.text.empty()) {
      problems.Add(node.where, path, (node.IsScalar() ? "an empty text" : node.Found()) + " is not allowed; a text is expected");
    } else {
      value = node.text;
    }
  };
  return Value(key, read, [&] { return Yaml::String(value); });
}

bool Keys::Numbers(const std::string& key, std::vector<double>& values, const Range& range) {
  const auto read = [&](const Yaml& node, const std::string& path, Problems& problems) {
    ReadItems<double>(node, path, problems, values, [&](const Yaml& item, const std::string& place) {
      return ReadNumber(item, place, range, 0, problems);
    });
  };
  return Value(key, read, [&] { return PrintItems<double>(values, PrintNumber); });
}

bool Keys::Integers(const std::string& key, std::vector<int64_t>& values, const IntRange& range) {
  const auto read = [&](const Yaml& node, const std::string& path, Problems& problems) {
    ReadItems<int64_t>(node, path, problems, values, [&](const Yaml& item, const std::string& place) {
      return ReadInteger(item, place, range, range.low, problems);
    });
  };
  return Value(key, read, [&] { return PrintItems<int64_t>(values, PrintInteger); });
}

bool Keys::Quantity(const std::string& key, double& value, double (*parse)(std::string_view), std::string (*print)(double)) {
  const auto read = [&](const Yaml& node, const std::string& path, Problems& problems) {
    value = ReadQuantity(node, path, parse, value, problems);
  };
  return Value(key, read, [&] { return Yaml::Plain(print(value)); });
}

bool Keys::Quantity(const std::string& key, std::optional<double>& value, double (*parse)(std::string_view), std::string (*print)(double)) {
  const auto read = [&](const Yaml& node, const std::string& path, Problems& problems) {
    value.reset();
    if (!node.IsNull()) value = ReadQuantity(node, path, parse, std::nan(""), problems);  // a bad one is given, too
  };
  return Value(key, read, [&] { return value ? Yaml::Plain(print(*value)) : Yaml{}; });
}

bool Keys::Seconds(const std::string& key, std::chrono::milliseconds& value) {
  // A millisecond is the clock's unit; above 10^6 s a deadline is none.
  constexpr Range kSeconds{.low = 0.001, .high = 1e6};
  double seconds = static_cast<double>(value.count()) / 1000;
  const bool fine = Number(key, seconds, kSeconds);
  value = std::chrono::milliseconds(std::llround(seconds * 1000));
  return fine;
}

}  // namespace basin::trainer
