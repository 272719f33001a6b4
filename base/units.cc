#include "base/units.h"

#include <array>
#include <charconv>
#include <cmath>
#include <span>
#include <vector>

#include "base/error.h"
#include "base/nearest.h"

namespace basin::base {
namespace {

struct Unit {
  std::string_view name;
  double times = 1, over = 1;  // a number of it is number x times / over: 50 / 10^6 is the double nearest to 50us, 50 x 1e-6 is not
  bool alias = false;          // read, never written
};

double Scaled(double number, const Unit& unit) { return number * unit.times / unit.over; }
double Unscaled(double value, const Unit& unit) { return value * unit.over / unit.times; }

struct Quantity {
  std::string_view noun, example;
  std::span<const Unit> units;
  bool zero = true;  // allowed
};

constexpr std::array kDurations{Unit{"ns", 1, 1e9}, Unit{"us", 1, 1e6}, Unit{"ms", 1, 1e3}, Unit{"s", 1}, Unit{"min", 60}, Unit{"h", 3600}};
constexpr std::array kRates{
    Unit{"bps", 1, 8}, Unit{"kbps", 125}, Unit{"Kbps", 125, 1, true}, Unit{"Mbps", 125e3}, Unit{"Gbps", 125e6}, Unit{"Tbps", 125e9},
    Unit{"B/s", 1},    Unit{"kB/s", 1e3}, Unit{"KB/s", 1e3, 1, true}, Unit{"MB/s", 1e6},   Unit{"GB/s", 1e9},   Unit{"TB/s", 1e12}};
constexpr std::array kSizes{
    Unit{"B", 1},     Unit{"kB", 1e3},   Unit{"KB", 1e3, 1, true}, Unit{"MB", 1e6},           Unit{"GB", 1e9},
    Unit{"TB", 1e12}, Unit{"KiB", 1024}, Unit{"MiB", 1048576},     Unit{"GiB", 1073741824.0}, Unit{"TiB", 1099511627776.0}};

constexpr Quantity kDuration{"a duration", "5ms", kDurations};
constexpr Quantity kRate{"a rate", "100Mbps", kRates, false};
constexpr Quantity kSize{"a number of bytes", "50MB", kSizes};

ConfigError Refused(const Quantity& quantity, std::string_view text, std::string_view why) {
  std::vector<std::string> names;
  for (const Unit& unit : quantity.units) {
    if (!unit.alias) names.emplace_back(unit.name);
  }
  return ConfigError(Text("'", text, "' is not ", quantity.noun, ": ", why, "; write a number and its unit, such as ", quantity.example,
                          " (", JoinNames(names), ")"));
}

double Parse(const Quantity& quantity, std::string_view text) {
  double number = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failure == std::errc::invalid_argument) throw Refused(quantity, text, "it does not begin with a number");
  if (failure != std::errc() || !std::isfinite(number)) throw Refused(quantity, text, "its number is not finite");
  std::string_view word = text.substr(end - text.data());
  while (word.starts_with(' ')) word.remove_prefix(1);
  if (number < 0 || std::signbit(number)) throw Refused(quantity, text, "it is negative");
  if (number == 0 && !quantity.zero) throw Refused(quantity, text, "it must be above 0");
  if (word.empty()) throw Refused(quantity, text, "it has no unit");
  for (const Unit& unit : quantity.units) {
    if (unit.name != word) continue;
    const double value = Scaled(number, unit);
    if (!std::isfinite(value)) throw Refused(quantity, text, "its number is not finite");
    return value;
  }
  throw Refused(quantity, text, Text("its unit '", word, "' is not known"));
}

std::string ShortestNumber(double value) {
  std::array<char, 32> digits{};
  const auto [end, failure] = std::to_chars(digits.data(), digits.data() + digits.size(), value);
  BASIN_CHECK(failure == std::errc(), "a double of more than 32 characters");
  return {digits.data(), end};
}

std::string Write(const Quantity& quantity, double value) {
  std::string best;
  for (const Unit& unit : quantity.units) {
    if (unit.alias) continue;
    const std::string text = Text(ShortestNumber(Unscaled(value, unit)), unit.name);
    if (Parse(quantity, text) == value && (best.empty() || text.size() < best.size())) best = text;
  }
  BASIN_CHECK(!best.empty(), value, " cannot be written as ", quantity.noun);
  return best;
}

}  // namespace

double ParseDuration(std::string_view text) { return Parse(kDuration, text); }
double ParseRate(std::string_view text) { return Parse(kRate, text); }
double ParseBytes(std::string_view text) { return Parse(kSize, text); }

std::string DurationText(double seconds) { return Write(kDuration, seconds); }
std::string RateText(double bytes_per_second) { return Write(kRate, bytes_per_second); }
std::string BytesText(double bytes) { return Write(kSize, bytes); }

}  // namespace basin::base
