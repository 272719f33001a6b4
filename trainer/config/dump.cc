// The way back: a tree as YAML text.
#include <algorithm>
#include <array>
#include <cctype>
#include <cstdio>

#include "trainer/config/yaml.h"

namespace basin::trainer {
namespace {

bool IsPlainWord(const std::string& text) {
  // Words that some YAML reader takes for a truth value or for nothing.
  static constexpr std::array kTaken{"true", "false", "null", "yes", "no", "on", "off", "y", "n"};
  std::string lower = text;
  std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return std::tolower(c); });
  if (text.empty() || std::find(kTaken.begin(), kTaken.end(), lower) != kTaken.end()) return false;
  if (!std::isalpha(static_cast<unsigned char>(text[0])) && text[0] != '/') return false;
  return std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return c < 128 && (std::isalnum(c) || std::string_view("_./+-").find(static_cast<char>(c)) != std::string_view::npos);
  });
}

std::string Quote(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) < 32 || c == 127) {
      std::array<char, 8> escape{};
      std::snprintf(escape.data(), escape.size(), "\\x%02x", static_cast<unsigned char>(c));
      out += escape.data();
    } else {
      out += c;
    }
  }
  return out + "\"";
}

std::string Word(const std::string& text) { return IsPlainWord(text) ? text : Quote(text); }

void DumpEntry(const std::string& key, const Yaml& value, const std::string& indent, std::string& out) {
  out += indent + Word(key) + ":";
  if (value.IsMap() && indent.empty() && !value.items.empty()) {
    out += "\n";
    for (size_t i = 0; i < value.items.size(); ++i) DumpEntry(value.keys[i], value.items[i], indent + "  ", out);
  } else if (value.IsList() && !value.items.empty() && value.items[0].IsMap()) {
    out += "\n";
    for (const Yaml& item : value.items) out += indent + "  - " + InlineYaml(item) + "\n";
  } else {
    out += " " + InlineYaml(value) + "\n";
  }
}

}  // namespace

Yaml Yaml::String(const std::string& text) {
  Yaml value = Plain(text);
  value.quoted = !IsPlainWord(text);
  return value;
}

std::string InlineYaml(const Yaml& value) {
  if (value.IsNull()) return "null";
  if (value.IsScalar()) return value.quoted ? Quote(value.text) : value.text;
  std::string out;
  for (size_t i = 0; i < value.items.size(); ++i) {
    out += out.empty() ? "" : ", ";
    if (value.IsMap()) out += Word(value.keys[i]) + ": ";
    out += InlineYaml(value.items[i]);
  }
  return value.IsMap() ? "{" + out + "}" : "[" + out + "]";
}

std::string DumpYaml(const Yaml& root) {
  std::string out;
  for (size_t i = 0; i < root.items.size(); ++i) DumpEntry(root.keys[i], root.items[i], "", out);
  return out;
}

}  // namespace basin::trainer
