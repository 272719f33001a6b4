#include "trainer/config/keys.h"

#include <algorithm>
#include <map>

#include "base/error.h"
#include "base/nearest.h"

namespace basin::trainer {
namespace {

/// "unknown (did you mean 'x'?); allowed: x, y"
std::string UnknownName(const std::string& what, const std::string& word, const std::vector<std::string>& allowed) {
  const std::string nearest = base::NearestName(word, allowed);
  return Text(what, nearest.empty() ? "" : Text(" (did you mean '", nearest, "'?)"),
              "; allowed: ", allowed.empty() ? "no keys" : base::JoinNames(allowed));
}

bool Contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

void Keys::OtherKinds(const std::string& chosen, const std::function<std::vector<KindKeys>()>& kinds) {
  if (!reading()) return;
  std::map<std::string, std::vector<std::string>> owners;
  for (const KindKeys& kind : kinds()) {
    for (const std::string& key : kind.keys) owners[key].push_back(kind.name);
  }
  const Yaml* name = At("name");
  for (const auto& [key, names] : owners) {
    const Yaml* value = At(key);
    if (value == nullptr || Contains(names, chosen)) continue;
    const bool replaced = name != nullptr && name->from_set && !value->from_set;
    Foreign(key, replaced ? "" : Text("a key of ", base::JoinNames(names), ", not of ", chosen));
  }
}

Section::Section(const Yaml& node, std::string path, Problems& problems)
    : node_(node), path_(std::move(path)), problems_(problems) {}

bool Section::Value(const std::string& key, const Read& read, const Print&) {
  known_.push_back(key);
  const Yaml* value = node_.Find(key);
  if (value == nullptr) return true;
  const size_t before = problems_.count();
  read(*value, PathOf(key), problems_);
  return problems_.count() == before;
}

void Section::Group(const std::string& key, const Visit& visit) {
  known_.push_back(key);
  const Yaml* value = node_.Find(key);
  const Yaml nothing{.where = node_.where};
  ReadAs(value == nullptr ? nothing : *value, PathOf(key), problems_, visit);
}

void Section::ReadAs(const Yaml& value, const std::string& path, Problems& problems, const Visit& visit) {
  if (!value.IsNull() && !value.IsMap()) {
    problems.Add(value.where, path, Text(value.Found(), " is not a section; write {key: value, ...}"));
    return;
  }
  Section section(value, path, problems);
  visit(section);
  section.RejectUnreadKeys();
}

void Section::Require(bool holds, const std::string& key, const std::string& what) {
  if (holds) return;
  const Yaml* value = node_.Find(key);
  problems_.Add(value == nullptr ? node_.where : value->where, PathOf(key), what);
}

void Section::Foreign(const std::string& key, const std::string& what) {
  const Yaml* value = node_.Find(key);
  if (value == nullptr || Contains(known_, key)) return;
  foreign_.push_back(key);
  if (!what.empty()) problems_.Add(value->where, PathOf(key), what);
}

void Section::RejectUnreadKeys() {
  if (!node_.IsMap() || skip_rest_) return;
  for (size_t i = 0; i < node_.keys.size(); ++i) {
    const std::string& key = node_.keys[i];
    if (Contains(known_, key) || Contains(foreign_, key)) continue;
    problems_.Add(node_.items[i].where, PathOf(key), UnknownName("unknown key", key, known_));
  }
}

bool Printer::Value(const std::string& key, const Read&, const Print& print) {
  tree_.Set(key, print());
  return true;
}

void Printer::Group(const std::string& key, const Visit& visit) { tree_.Set(key, Describe(visit)); }

Yaml Printer::Describe(const Visit& visit) {
  Printer printer;
  visit(printer);
  return printer.tree();
}

bool Keys::List(const std::string& key, const std::string& example, const std::function<void()>& clear, const Read& read,
                const Print& print) {
  const auto read_all = [&](const Yaml& node, const std::string& path, Problems& problems) {
    clear();
    if (!node.IsList() && !node.IsNull()) problems.Add(node.where, path, Text(node.Found(), " is not a list; write ", example));
    for (size_t i = 0; node.IsList() && i < node.items.size(); ++i) read(node.items[i], Text(path, "[", i, "]"), problems);
  };
  return Value(key, read_all, print);
}

bool Keys::Name(const std::string& key, std::string& value, const std::vector<std::string>& allowed) {
  const auto read = [&](const Yaml& node, const std::string& path, Problems& problems) {
    if (node.IsScalar() && Contains(allowed, node.text)) {
      value = node.text;
    } else {
      problems.Add(node.where, path, UnknownName(node.Found() + " is not known", node.text, allowed));
    }
  };
  return Value(key, read, [&] { return Yaml::String(value); });
}

}  // namespace basin::trainer
