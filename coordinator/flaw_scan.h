// Looks for values that are not finite while a file's bytes come by, so that it need not be read again for that.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/safetensors.h"

namespace basin::coordinator {

/// Tensor and element of the first value that is not finite, in words; empty: there is none. For a file at rest.
std::string FlawOf(const base::SafetensorsReader& file);

/// The same for the bytes of a safetensors file that come in order, in parts of any size. What is wrong with the file
/// itself is not its matter: SafetensorsReader checks that.
class FlawScan {
 public:
  void Take(std::span<const std::byte> bytes);
  /// As FlawOf, once all bytes came; nothing when the header was too long or not to be read, so that nothing was looked at.
  std::optional<std::string> flaw() const;

 private:
  struct Stretch {
    std::string name;
    base::DType dtype = base::DType::kF32;  // a floating type
    uint64_t begin = 0, end = 0;            // in the data
  };
  enum class State { kLength, kHeader, kData, kDone, kBlind };

  std::span<const std::byte> TakeHeader(std::span<const std::byte> bytes);
  std::span<const std::byte> TakeData(std::span<const std::byte> bytes);
  void ReadHeader();
  void LookAt(const Stretch& at, std::span<const std::byte> bytes);
  void Check(const Stretch& at, const std::byte* values, uint64_t from, uint64_t count);

  State state_ = State::kLength;
  std::string header_;  // the length's bytes, then those of the text
  uint64_t header_bytes_ = 0, position_ = 0;
  std::vector<Stretch> stretches_;  // in the order of the data
  size_t next_ = 0;
  std::string broken_;  // the first bytes of a value that two parts share
  std::string flaw_;
};

}  // namespace basin::coordinator
