// YAML text as a plain tree in which every value knows where it stands, and the list of problems found in it.
// config_yaml.cc is the only file that includes yaml-cpp.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace basin::trainer {

/// One value. A tree of them has value semantics: copying copies all of it.
struct Yaml {
  enum class Kind { kNull, kScalar, kList, kMap } kind = Kind::kNull;
  std::string text{};               ///< scalar
  bool quoted = false;              ///< scalar that is a string, whatever it looks like
  std::vector<std::string> keys{};  ///< map: one an item
  std::vector<Yaml> items{};        ///< list, map
  std::string where{};              ///< "configs/a.yaml:12" or "--set strategy.p=1.5"
  bool from_set = false;            ///< came from --set, so it was meant to replace what the file says

  bool IsNull() const { return kind == Kind::kNull; }
  bool IsScalar() const { return kind == Kind::kScalar; }
  bool IsList() const { return kind == Kind::kList; }
  bool IsMap() const { return kind == Kind::kMap; }
  /// The value of a map's key; null pointer when there is none or this is no map.
  const Yaml* Find(std::string_view key) const;
  Yaml* Find(std::string_view key);
  /// Adds or replaces a key; turns a null into a map.
  Yaml& Set(std::string_view key, Yaml value);
  /// How a message names the value: 1.5, 'abc', null, a list, a section.
  std::string Found() const;

  static Yaml Plain(std::string text);          ///< a number, true, false
  static Yaml String(const std::string& text);  ///< quoted where it could be taken for anything else
  static Yaml List(std::vector<Yaml> items);
};

/// All that is wrong with a configuration, in the order of finding.
class Problems {
 public:
  /// One line "where: path: what"; what is empty is left out.
  void Add(const std::string& where, const std::string& path, const std::string& what);
  size_t count() const { return lines_.size(); }
  /// ConfigError with one problem a line.
  void ThrowIfAny() const;

 private:
  std::vector<std::string> lines_;
};

/// Null for an empty text. Not YAML: one problem `origin:line:column: ...`. Also problems: a key given twice, a tag, a key that is
/// no scalar, a second document, an anchor that contains itself.
Yaml ParseYaml(const std::string& text, const std::string& origin, Problems& problems);

/// Lays "train.optimizer.lr=0.2" over `root`: dotted path, then a YAML value. Sections on the way are created.
void LayOver(Yaml& root, const std::string& assignment, Problems& problems);
/// The same for a value that is there already; value.where names it in messages.
void LayOver(Yaml& root, const std::string& path, Yaml value, Problems& problems);
/// True when `path` is a dotted key: names between single dots.
bool IsDottedKey(const std::string& path);

/// A value in flow style: 0.1, [1, 2], {name: wash, p: 0.01}.
std::string InlineYaml(const Yaml& value);
/// Sections and their keys in block style, everything below in one line each; readable by ParseYaml and by YAML 1.1 readers.
std::string DumpYaml(const Yaml& root);

}  // namespace basin::trainer
