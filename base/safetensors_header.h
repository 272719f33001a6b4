// The header of a safetensors file: its length and grammar only. What the entries mean for the data
// is checked in safetensors.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace basin::base {

/// The bytes before the header that hold its length.
inline constexpr size_t kHeaderLengthBytes = 8;
inline constexpr size_t kMaxHeaderBytes = 100'000'000;

/// One entry as it stands in the header; begin and end are its data_offsets.
struct HeaderEntry {
  std::string name;
  std::string dtype;
  std::vector<int64_t> shape;
  uint64_t begin = 0;
  uint64_t end = 0;
};

struct Header {
  std::vector<HeaderEntry> entries;
  std::map<std::string, std::string> metadata;
};

/// The JSON text of the header in the bytes of a whole file. DataError when its length is not sane.
std::string_view SafetensorsHeaderText(std::span<const std::byte> file,
                                       const std::filesystem::path& path);

/// Time and memory linear in the text. DataError (names `path`, tensor and position) for anything
/// but
/// {"name": {"dtype": string, "shape": [integers >= 0], "data_offsets": [integer, integer]}, ...,
///  "__metadata__": {string: string}}, and for a key that occurs twice.
Header ParseSafetensorsHeader(std::string_view text, const std::filesystem::path& path);

}  // namespace basin::base
