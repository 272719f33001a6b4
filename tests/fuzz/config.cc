// The text of a configuration: refused, or what is printed of it means the same.
#include "base/error.h"
#include "tests/fuzz/target.h"
#include "trainer/config/config.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace basin::trainer;
  const std::string text(basin::fuzz::Text(data, size));
  try {
    const RunConfig config = ParseRunConfig(text, "input", "/");
    const RunConfig again = ParseRunConfig(ToYaml(config), "printed", "/");
    basin::fuzz::Require(ConfigHash(config) == ConfigHash(again));
  } catch (const basin::ConfigError&) {
  } catch (const basin::DataError&) {
  }
  return 0;
}
