// The manifest of a checkpoint: refused, or what is written of it means the same. Played as it is, and with the checksum that fits,
// which chance would never find.
#include <span>

#include "base/error.h"
#include "base/files.h"
#include "base/json.h"
#include "tests/fuzz/target.h"
#include "trainer/checkpoint/files.h"

namespace {

void Play(const std::string& text) {
  using namespace basin::trainer;
  try {
    const basin::base::Json written = ToJson(ParseManifest(text, "input"));
    basin::fuzz::Require(ToJson(ParseManifest(written.dump(), "written")) == written);
  } catch (const basin::DataError&) {
  } catch (const basin::ConfigError&) {
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(basin::fuzz::Text(data, size));
  Play(text);
  basin::base::Json json = basin::base::Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return 0;
  json.erase("xxh64");
  const std::string rest = json.dump();
  json["xxh64"] = basin::base::HexHash(basin::base::Hash64(std::as_bytes(std::span(rest))));
  Play(json.dump());
  return 0;
}
