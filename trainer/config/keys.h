// One description of a section's keys serves both ways: read from YAML into an options struct, and printed from it.
//
// A visit function names each key once, `keys.Number("lr", options.lr, kAtLeastZero)`. `Section` reads: it keeps the default where
// the key is missing, collects problems, and refuses keys that nobody asked for. `Printer` builds the effective YAML.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "trainer/config/yaml.h"

namespace basin::trainer {

/// Real numbers from low to high, each end included unless open. Infinite ends are never included: a number is finite.
struct Range {
  double low = -std::numeric_limits<double>::infinity(), high = std::numeric_limits<double>::infinity();
  bool low_open = false, high_open = false;
  bool Contains(double x) const;
  std::string ToText() const;  ///< "in [0, 1)" | ">= 0" | "> 0" | "finite"
};
/// Whole numbers from low to high, both included.
struct IntRange {
  int64_t low = 0, high = std::numeric_limits<int64_t>::max();
  std::string ToText() const;
};

inline constexpr Range kAtLeastZero{.low = 0};
inline constexpr Range kPositive{.low = 0, .low_open = true};
inline constexpr Range kShare{.low = 0, .high = 1};
inline constexpr Range kInnerShare{.low = 0, .high = 1, .low_open = true, .high_open = true};
inline constexpr Range kShareBelowOne{.low = 0, .high = 1, .high_open = true};
inline constexpr IntRange kCount{.low = 1};
inline constexpr IntRange kCountOrZero{.low = 0};
inline constexpr IntRange kManyCount{.low = 1, .high = 1'000'000'000};  ///< steps, epochs, batches: a product of two fits int64
inline constexpr IntRange kSmallCount{.low = 1, .high = 4096};  ///< members, threads: what fits an int and a machine

template <typename E>
using Names = std::vector<std::pair<E, std::string>>;

/// A name that decides which keys a section has, and those keys.
struct KindKeys {
  std::string name;
  std::vector<std::string> keys;
};

class Keys {
 public:
  using Read = std::function<void(const Yaml& value, const std::string& path, Problems& problems)>;
  using Print = std::function<Yaml()>;
  using Visit = std::function<void(Keys&)>;

  virtual ~Keys() = default;
  /// Any key. `read` is called when the key is there; false when it reported a problem.
  virtual bool Value(const std::string& key, const Read& read, const Print& print) = 0;
  /// A section in this section; missing or null: all its defaults.
  virtual void Group(const std::string& key, const Visit& visit) = 0;
  virtual bool reading() const = 0;
  /// Reading: what stands at a key, or a null pointer. Printing: always a null pointer.
  virtual const Yaml* At(const std::string& key) const = 0;
  /// Reading: a problem with this key unless `holds`.
  virtual void Require(bool holds, const std::string& key, const std::string& what) = 0;
  /// Reading: a key that may not stand here although it has a meaning elsewhere.
  virtual void Foreign(const std::string& key, const std::string& what) = 0;
  /// Reading: no complaint about the keys not asked for yet, because what they should be is unknown.
  virtual void SkipRest() = 0;

  bool Number(const std::string& key, double& value, const Range& range);
  bool Number(const std::string& key, std::optional<double>& value, const Range& range);
  bool Integer(const std::string& key, int64_t& value, const IntRange& range);
  bool Integer(const std::string& key, int& value, const IntRange& range);  ///< range within int's
  bool Integer(const std::string& key, std::optional<int64_t>& value, const IntRange& range);
  bool Flag(const std::string& key, bool& value);
  bool String(const std::string& key, std::string& value);
  bool Numbers(const std::string& key, std::vector<double>& values, const Range& range);
  bool Integers(const std::string& key, std::vector<int64_t>& values, const IntRange& range);
  /// A list; null is an empty one. When the key is there, `clear` is called and then `read` with each item. `example` shows what to write.
  bool List(const std::string& key, const std::string& example, const std::function<void()>& clear, const Read& read, const Print& print);
  /// A number with its unit, by the functions of base/units.h. `value` may be null in YAML when it is an option.
  bool Quantity(const std::string& key, double& value, double (*parse)(std::string_view), std::string (*print)(double));
  bool Quantity(const std::string& key, std::optional<double>& value, double (*parse)(std::string_view), std::string (*print)(double));
  /// Seconds in YAML, to the millisecond.
  bool Seconds(const std::string& key, std::chrono::milliseconds& value);
  /// One of several names.
  bool Name(const std::string& key, std::string& value, const std::vector<std::string>& allowed);
  template <typename E>
  bool Choice(const std::string& key, E& value, const Names<E>& names) {
    std::vector<std::string> allowed;
    std::string name;
    for (const auto& [item, text] : names) {
      allowed.push_back(text);
      if (item == value) name = text;
    }
    const bool fine = Name(key, name, allowed);
    for (const auto& [item, text] : names) {
      if (text == name) value = item;
    }
    return fine;
  }
  /// Keys of the other kinds are refused by the name of their owner. Exception: when `name` came from --set and the key from the
  /// file, the key belongs to what was replaced and is passed over.
  void OtherKinds(const std::string& chosen, const std::function<std::vector<KindKeys>()>& kinds);
};

/// Reads one section.
class Section : public Keys {
 public:
  /// `node` is a map or null and outlives the section. `path` is "" for the whole file.
  Section(const Yaml& node, std::string path, Problems& problems);
  bool Value(const std::string& key, const Read& read, const Print& print) override;
  void Group(const std::string& key, const Visit& visit) override;
  bool reading() const override { return true; }
  const Yaml* At(const std::string& key) const override { return node_.Find(key); }
  void Require(bool holds, const std::string& key, const std::string& what) override;
  void Foreign(const std::string& key, const std::string& what) override;
  void SkipRest() override { skip_rest_ = true; }
  /// To be called last: every key that was not asked for is a problem.
  void RejectUnreadKeys();
  /// Opens `value` as a section for `visit`, rejects unread keys. A value that is no section: a problem.
  static void ReadAs(const Yaml& value, const std::string& path, Problems& problems, const Visit& visit);

 private:
  std::string PathOf(const std::string& key) const { return path_.empty() ? key : path_ + "." + key; }
  const Yaml& node_;
  std::string path_;
  Problems& problems_;
  std::vector<std::string> known_;    // asked for, in that order
  std::vector<std::string> foreign_;  // dealt with
  bool skip_rest_ = false;
};

/// Builds the YAML of one section.
class Printer : public Keys {
 public:
  bool Value(const std::string& key, const Read& read, const Print& print) override;
  void Group(const std::string& key, const Visit& visit) override;
  bool reading() const override { return false; }
  const Yaml* At(const std::string&) const override { return nullptr; }
  void Require(bool, const std::string&, const std::string&) override {}
  void Foreign(const std::string&, const std::string&) override {}
  void SkipRest() override {}
  const Yaml& tree() const { return tree_; }
  /// The YAML of what `visit` describes.
  static Yaml Describe(const Visit& visit);

 private:
  Yaml tree_{.kind = Yaml::Kind::kMap};
};

/// A section that may be null, and then the option is absent.
template <typename T>
void VisitOptional(Keys& keys, const std::string& key, std::optional<T>& options, void (*visit)(Keys&, T&)) {
  const auto read = [&](const Yaml& node, const std::string& path, Problems& problems) {
    options.reset();
    if (!node.IsNull()) Section::ReadAs(node, path, problems, [&](Keys& group) { visit(group, options.emplace()); });
  };
  keys.Value(key, read, [&] { return options ? Printer::Describe([&](Keys& group) { visit(group, *options); }) : Yaml{}; });
}

}  // namespace basin::trainer
