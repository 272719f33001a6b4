#include "coordinator/key_value.h"

#include "base/error.h"
#include "coordinator/limits.h"

namespace basin::coordinator {

std::string KeyValueStore::Put(const std::string& key, const std::string& value) {
  if (key.empty() || key.size() > kMaxKeyBytes)
    return Text("the key has ", key.size(), " bytes; allowed: 1 to ", kMaxKeyBytes);
  if (value.size() > kMaxValueBytes)
    return Text("the value of '", key, "' has ", value.size(), " bytes; allowed: ", kMaxValueBytes);
  if (const auto found = values_.find(key); found != values_.end())
    return found->second == value ? "" : Text("key '", key, "' is written already, with another value");
  const size_t num_bytes = key.size() + value.size();
  if (values_.size() >= kMaxKeys) return Text("there are ", kMaxKeys, " keys already, the most that are kept");
  if (num_bytes_ + num_bytes > kMaxStoreBytes) return Text("the store would grow beyond ", kMaxStoreBytes, " bytes");
  values_.emplace(key, value);
  num_bytes_ += num_bytes;
  return {};
}

std::optional<std::string> KeyValueStore::Get(const std::string& key) const {
  const auto found = values_.find(key);
  if (found == values_.end()) return std::nullopt;
  return found->second;
}

}  // namespace basin::coordinator
