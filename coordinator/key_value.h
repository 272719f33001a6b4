// Small values for bootstrap (addresses, ids of communicators), written once and bounded in number and size.
#pragma once

#include <map>
#include <optional>
#include <string>

namespace basin::coordinator {

/// Not thread-safe.
class KeyValueStore {
 public:
  /// Why the value was not stored, as a sentence; empty: it was. Storing the same value again is no problem, another
  /// one is: members may already act on the first. A new epoch uses new keys.
  std::string Put(const std::string& key, const std::string& value);
  std::optional<std::string> Get(const std::string& key) const;

 private:
  std::map<std::string, std::string> values_;
  size_t num_bytes_ = 0;
};

}  // namespace basin::coordinator
