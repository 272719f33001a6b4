// Plays a target's corpus without libFuzzer, and inputs made from it by chance.
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "base/files.h"
#include "base/seed.h"
#include "tests/fuzz/target.h"

namespace basin::fuzz {
namespace {

std::vector<std::filesystem::path> Corpus() {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(BASIN_CORPUS)) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

void Play(const std::string& input) { LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(input.data()), input.size()); }

/// One to four changes: a byte of any value, a byte off by one, a piece cut out, a piece twice.
std::string Mutated(std::string input, base::Stream& stream) {
  for (uint32_t changes = 1 + stream.NextBelow(4); changes > 0 && !input.empty(); --changes) {
    const size_t at = stream.NextBelow(static_cast<uint32_t>(input.size()));
    const size_t length = 1 + stream.NextBelow(16);
    switch (stream.NextBelow(4)) {
      case 0: input[at] = static_cast<char>(stream.NextBelow(256)); break;
      case 1: input[at] = static_cast<char>(input[at] + (stream.NextBelow(2) == 0 ? 1 : -1)); break;
      case 2: input.erase(at, length); break;
      default: input.insert(at, input.substr(at, length));
    }
  }
  return input;
}

TEST(Corpus, IsAnsweredOrRefused) {
  ASSERT_FALSE(Corpus().empty());
  for (const auto& file : Corpus()) {
    SCOPED_TRACE(file);
    Play(base::ReadFile(file));
  }
  Play("");
}

TEST(Corpus, IsAnsweredOrRefusedWhenDamaged) {
  base::Stream stream({.run_seed = 1, .purpose = base::Purpose::kTest});
  for (const auto& file : Corpus()) {
    SCOPED_TRACE(file);
    const std::string whole = base::ReadFile(file);
    for (int k = 0; k < 100; ++k) Play(Mutated(whole, stream));
  }
}

}  // namespace
}  // namespace basin::fuzz
