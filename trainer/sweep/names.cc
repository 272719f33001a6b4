#include "trainer/sweep/names.h"

#include <cctype>
#include <span>

#include "base/files.h"

namespace basin::trainer {
namespace {

std::string Joined(const std::vector<std::string>& parts, char between) {
  std::string text;
  for (const std::string& part : parts) {
    if (part.empty()) continue;
    if (!text.empty()) text += between;
    text += part;
  }
  return text;
}

}  // namespace

std::string NamePart(const std::string& key, const Yaml& value) {
  const std::string last = key.substr(key.rfind('.') + 1);  // npos + 1 is 0
  if (value.IsNull()) return last + "null";
  if (value.IsScalar()) return (last == "name" ? "" : last) + value.text;
  std::vector<std::string> parts;
  if (value.IsList()) {
    for (const Yaml& item : value.items) parts.push_back(NamePart("name", item));
    return last + Joined(parts, '_');
  }
  if (const Yaml* name = value.Find("name")) {
    parts.push_back(NamePart("name", *name));
  } else if (last != "name") {
    parts.push_back(last);
  }
  for (size_t k = 0; k < value.keys.size(); ++k) {
    if (value.keys[k] != "name") parts.push_back(NamePart(value.keys[k], value.items[k]));
  }
  return Joined(parts, '-');
}

std::string FolderName(const std::vector<std::string>& parts) {
  constexpr size_t kLongest = 100;
  std::string name = Joined(parts, '-');
  if (name.empty()) return "base";
  const std::string hash = base::HexHash(base::Hash64(std::as_bytes(std::span(name))));
  for (char& c : name) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 128 || (std::isalnum(byte) == 0 && std::string_view("._+-").find(c) == std::string_view::npos)) c = '_';
  }
  if (name.front() == '.') name.front() = '_';
  return name.size() <= kLongest ? name : name.substr(0, kLongest) + "-" + hash;
}

}  // namespace basin::trainer
