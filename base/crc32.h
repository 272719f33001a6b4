// 32-bit cyclic redundancy checks, bits reflected, initial value and final xor all ones.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace basin::base {

/// Polynomials in reflected form.
inline constexpr uint32_t kZipPolynomial = 0xEDB88320U;         ///< IEEE 802.3: zip, gzip, PNG; of "123456789": cbf43926
inline constexpr uint32_t kCastagnoliPolynomial = 0x82F63B78U;  ///< CRC-32C: TFRecord, iSCSI; of "123456789": e3069283

/// Eight tables, so that eight bytes are taken at a time (Kounavis and Berry, "slicing by 8", 2005).
using CrcTables = std::array<std::array<uint32_t, 256>, 8>;
constexpr CrcTables MakeCrcTables(uint32_t polynomial) {
  CrcTables tables{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1U) != 0 ? polynomial : 0U);
    tables[0][i] = crc;
  }
  for (uint32_t i = 0; i < 256; ++i) {
    for (size_t k = 1; k < 8; ++k) tables[k][i] = (tables[k - 1][i] >> 8) ^ tables[0][tables[k - 1][i] & 0xFFU];
  }
  return tables;
}

template <uint32_t kPolynomial>
uint32_t Crc32(std::span<const std::byte> bytes) {
  static constexpr CrcTables kTables = MakeCrcTables(kPolynomial);
  const auto at = [&](size_t i) { return static_cast<uint32_t>(bytes[i]); };
  uint32_t crc = 0xFFFFFFFFU;
  size_t i = 0;
  for (; i + 8 <= bytes.size(); i += 8) {
    const uint32_t low = crc ^ (at(i) | at(i + 1) << 8 | at(i + 2) << 16 | at(i + 3) << 24);
    crc = kTables[7][low & 0xFFU] ^ kTables[6][(low >> 8) & 0xFFU] ^ kTables[5][(low >> 16) & 0xFFU] ^ kTables[4][low >> 24] ^
          kTables[3][at(i + 4)] ^ kTables[2][at(i + 5)] ^ kTables[1][at(i + 6)] ^ kTables[0][at(i + 7)];
  }
  for (; i < bytes.size(); ++i) crc = (crc >> 8) ^ kTables[0][(crc ^ at(i)) & 0xFFU];
  return crc ^ 0xFFFFFFFFU;
}

}  // namespace basin::base
