#include "tests/coordinator/certificates.h"

#include <stdexcept>
#include <vector>

#include "tests/support/command.h"

namespace basin::test {
namespace {

void Openssl(std::vector<std::string> words) {
  words.insert(words.begin(), "openssl");
  const CommandResult result = RunCommand(words);
  if (result.exit_code != 0) throw std::runtime_error("openssl " + words[1] + ": " + result.err);
}

const std::vector<std::string> kNewKey{"-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"};

std::vector<std::string> operator+(std::vector<std::string> a, const std::vector<std::string>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

}  // namespace

bool HasOpenssl() {
  try {
    return RunCommand({"openssl", "version"}).exit_code == 0;
  } catch (const std::exception&) {
    return false;
  }
}

Authority::Authority(const std::string& name) {
  Openssl(std::vector<std::string>{"req", "-x509"} + kNewKey +
          std::vector<std::string>{"-keyout", Path("ca.key"), "-out", ca(), "-subj", "/CN=" + name, "-days", "1"});
}

coordinator::Tls Authority::Issue(const std::string& name, const Leaf& leaf) const {
  const coordinator::Tls tls{.cert = Path(name + ".pem"), .key = Path(name + ".key"), .ca = ca()};
  Openssl(std::vector<std::string>{"req"} + kNewKey +
          std::vector<std::string>{"-keyout", tls.key, "-out", Path(name + ".csr"), "-subj", "/CN=" + name});
  base::WriteFileAtomically(Path(name + ".ext"), "subjectAltName=" + leaf.alternative_names + "\n");
  Openssl({"x509", "-req", "-in", Path(name + ".csr"), "-CA", ca(), "-CAkey", Path("ca.key"), "-CAcreateserial", "-out",
           tls.cert, "-days", std::to_string(leaf.days), "-extfile", Path(name + ".ext")});
  return tls;
}

}  // namespace basin::test
