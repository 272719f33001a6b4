// Certificates for tests, made by the openssl command in a temporary folder; valid for a day.
#pragma once

#include <string>

#include "base/files.h"
#include "coordinator/types.h"

namespace basin::test {

/// Whether the openssl command is there.
bool HasOpenssl();

class Authority {
 public:
  explicit Authority(const std::string& name);
  std::string ca() const { return Path("ca.pem"); }
  struct Leaf {
    std::string alternative_names = "DNS:localhost,IP:127.0.0.1";
    int days = 1;  ///< of validity; negative: expired
  };
  /// A certificate and key of this authority.
  coordinator::Tls Issue(const std::string& name, const Leaf& leaf) const;
  coordinator::Tls Issue(const std::string& name) const { return Issue(name, Leaf{}); }

 private:
  std::string Path(const std::string& file) const { return (folder_.path() / file).string(); }
  base::TemporaryFolder folder_;
};

}  // namespace basin::test
