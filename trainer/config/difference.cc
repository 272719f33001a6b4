#include "trainer/config/difference.h"

#include <algorithm>
#include <map>

#include "base/error.h"
#include "trainer/config/yaml.h"

namespace basin::trainer {
namespace {

/// Every value of a tree by its dotted path; items of a list by their number. An empty list or section is a value too.
void Flatten(const Yaml& node, const std::string& path, std::map<std::string, std::string>& values) {
  if (node.items.empty()) {
    values[path] = node.IsScalar() ? node.text : node.IsList() ? "[]" : node.IsMap() ? "{}" : "null";
    return;
  }
  for (size_t k = 0; k < node.items.size(); ++k) {
    const std::string key = node.IsMap() ? (path.empty() ? "" : ".") + node.keys[k] : Text("[", k, "]");
    Flatten(node.items[k], path + key, values);
  }
}

std::map<std::string, std::string> ValuesOf(const std::string& yaml) {
  Problems problems;
  std::map<std::string, std::string> values;
  Flatten(ParseYaml(yaml, "checkpoint", problems), "", values);
  problems.ThrowIfAny();
  return values;
}

std::string ValueIn(const std::map<std::string, std::string>& values, const std::string& key) {
  const auto found = values.find(key);
  return found == values.end() ? "absent" : found->second;
}

}  // namespace

std::vector<std::string> DescribeDifferences(const std::string& saved, const std::string& own, const std::string& where) {
  const auto before = ValuesOf(saved), now = ValuesOf(own);
  std::vector<std::string> lines;
  const auto compare = [&](const std::string& key) {
    const std::string was = ValueIn(before, key), is = ValueIn(now, key);
    if (was != is) lines.push_back(Text(key, ": ", was, " in ", where, ", ", is, " here"));
  };
  for (const auto& [key, value] : before) compare(key);
  for (const auto& [key, value] : now) {
    if (!before.contains(key)) compare(key);
  }
  return lines;
}

}  // namespace basin::trainer
