#include "trainer/config/yaml.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <sstream>
#include <utility>

#include "base/error.h"

namespace basin::trainer {
namespace {

// Aliases can blow a short text up (or, when an anchor contains itself, for ever).
constexpr int kMaxDepth = 32;
constexpr int kMaxValues = 100'000;

std::string Below(const std::string& path, const std::string& key) { return path.empty() ? key : path + "." + key; }

/// yaml-cpp's nodes to ours.
class Converter {
 public:
  Converter(std::string origin, bool from_set, Problems& problems)
      : origin_(std::move(origin)), from_set_(from_set), problems_(problems) {}

  Yaml Convert(const YAML::Node& node, const std::string& path, int depth = 0) {
    Yaml value;
    value.where = Where(node);
    value.from_set = from_set_;
    if (depth > kMaxDepth || ++values_ > kMaxValues) {
      if (!too_large_) problems_.Add(value.where, path, "too deep or too many values; does an anchor contain itself?");
      too_large_ = true;
      return value;
    }
    CheckTag(node, value, path);
    if (node.IsScalar()) {
      value.kind = Yaml::Kind::kScalar;
      value.text = node.Scalar();
    } else if (node.IsSequence()) {
      value.kind = Yaml::Kind::kList;
      for (size_t i = 0; i < node.size() && !too_large_; ++i) {
        value.items.push_back(Convert(node[i], Text(path, "[", i, "]"), depth + 1));
      }
    } else if (node.IsMap()) {
      value.kind = Yaml::Kind::kMap;
      for (const auto& entry : node) {
        if (!too_large_) AddEntry(entry.first, entry.second, path, depth, value);
      }
    }
    return value;
  }

 private:
  std::string Where(const YAML::Node& node) const {
    const YAML::Mark mark = node.Mark();
    return from_set_ || mark.is_null() ? origin_ : Text(origin_, ":", mark.line + 1);
  }

  void CheckTag(const YAML::Node& node, Yaml& value, const std::string& path) {
    const std::string& tag = node.Tag();  // yaml-cpp: "?" plain, "!" quoted
    value.quoted = tag == "!" || tag == "tag:yaml.org,2002:str";
    if (tag.empty() || tag == "?" || value.quoted) return;
    problems_.Add(value.where, path, Text("the tag ", tag, " means nothing here; leave it out"));
  }

  void AddEntry(const YAML::Node& key, const YAML::Node& item, const std::string& path, int depth, Yaml& map) {
    if (!key.IsScalar()) {
      problems_.Add(Where(key), path, "a key must be a name, not a list, a section or null");
      return;
    }
    const std::string name = key.Scalar();
    if (const Yaml* first = map.Find(name)) {
      problems_.Add(Where(key), Below(path, name), Text("key given twice, first at ", first->where));
      return;
    }
    Yaml value = Convert(item, Below(path, name), depth + 1);
    value.where = Where(key);  // the key's line is where a reader looks, also when the value starts below it
    map.keys.push_back(name);
    map.items.push_back(std::move(value));
  }

  std::string origin_;
  bool from_set_;
  Problems& problems_;
  int values_ = 0;
  bool too_large_ = false;
};

struct IgnoreEvents : YAML::EventHandler {
  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t, const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {}
  void OnMapEnd() override {}
};

/// Up to 2. LoadAll must not be asked: yaml-cpp 0.7 passes over no token of a document that starts with ',', ']' or '}', so it finds
/// empty documents without end.
int CountDocuments(const std::string& text) {
  std::istringstream stream(text);
  YAML::Parser parser(stream);
  IgnoreEvents nobody;
  int documents = 0;
  while (documents < 2 && parser.HandleNextDocument(nobody)) ++documents;
  return documents;
}

Yaml Parse(const std::string& text, const std::string& origin, bool from_set, const std::string& path,
           Problems& problems) {
  try {
    if (const int documents = CountDocuments(text); documents > 1) {
      problems.Add(origin, path, "holds 2 YAML documents or more, or starts with a stray sign; only one is allowed");
    } else if (documents == 1) {
      return Converter(origin, from_set, problems).Convert(YAML::Load(text), path);
    }
  } catch (const YAML::Exception& failure) {
    const bool known = !from_set && !failure.mark.is_null();
    problems.Add(known ? Text(origin, ":", failure.mark.line + 1, ":", failure.mark.column + 1) : origin, path,
                 Text("not valid YAML: ", failure.msg));
  }
  Yaml nothing;
  nothing.where = origin;
  nothing.from_set = from_set;
  return nothing;
}

}  // namespace

const Yaml* Yaml::Find(std::string_view key) const {
  if (!IsMap()) return nullptr;
  const auto found = std::find(keys.begin(), keys.end(), key);
  return found == keys.end() ? nullptr : &items[found - keys.begin()];
}

Yaml* Yaml::Find(std::string_view key) { return const_cast<Yaml*>(std::as_const(*this).Find(key)); }

Yaml& Yaml::Set(std::string_view key, Yaml value) {
  kind = Kind::kMap;
  if (Yaml* old = Find(key)) return *old = std::move(value);
  keys.emplace_back(key);
  return items.emplace_back(std::move(value));
}

std::string Yaml::Found() const {
  if (IsNull()) return "null";
  if (IsList()) return "a list";
  if (IsMap()) return "a section";
  const bool number = !quoted && text.find_first_not_of("0123456789+-.eE") == std::string::npos &&
                      text.find_first_of("0123456789") != std::string::npos;
  return number ? text : "'" + text + "'";
}

Yaml Yaml::Plain(std::string text) {
  Yaml value;
  value.kind = Kind::kScalar;
  value.text = std::move(text);
  return value;
}

Yaml Yaml::List(std::vector<Yaml> items) {
  Yaml value;
  value.kind = Kind::kList;
  value.items = std::move(items);
  return value;
}

void Problems::Add(const std::string& where, const std::string& path, const std::string& what) {
  lines_.push_back((where.empty() ? "" : where + ": ") + (path.empty() ? "" : path + ": ") + what);
}

void Problems::ThrowIfAny() const {
  if (lines_.empty()) return;
  std::string all;
  for (const std::string& line : lines_) all += (all.empty() ? "" : "\n") + line;
  throw ConfigError(all);
}

Yaml ParseYaml(const std::string& text, const std::string& origin, Problems& problems) {
  return Parse(text, origin, /*from_set=*/false, "", problems);
}

bool IsDottedKey(const std::string& path) {
  return !path.empty() && path.front() != '.' && path.back() != '.' && path.find("..") == std::string::npos;
}

void LayOver(Yaml& root, const std::string& assignment, Problems& problems) {
  const std::string where = "--set " + assignment;
  const size_t equals = assignment.find('=');
  const std::string path = assignment.substr(0, equals);
  if (equals == std::string::npos || !IsDottedKey(path)) {
    problems.Add(where, "", "expected KEY=VALUE with a dotted key, e.g. --set train.optimizer.lr=0.2");
    return;
  }
  LayOver(root, path, Parse(assignment.substr(equals + 1), where, /*from_set=*/true, path, problems), problems);
}

void LayOver(Yaml& root, const std::string& path, Yaml value, Problems& problems) {
  const std::string where = value.where;
  Yaml* section = &root;
  size_t begin = 0;
  for (size_t dot = path.find('.'); dot != std::string::npos; begin = dot + 1, dot = path.find('.', begin)) {
    const std::string key = path.substr(begin, dot - begin);
    Yaml* below = section->Find(key);
    if (below == nullptr) below = &section->Set(key, Yaml{.where = where, .from_set = true});
    if (!below->IsNull() && !below->IsMap()) {
      problems.Add(where, path.substr(0, dot), Text(below->Found(), " is not a section, so it has no keys below it"));
      return;
    }
    section = below;
  }
  section->Set(path.substr(begin), std::move(value));
}

}  // namespace basin::trainer
