// SHA-256 (FIPS 180-4), to compare bytes with published sums.
#pragma once

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <span>
#include <string>
#include <vector>

namespace basin::test {

/// The constants of the standard: the first 32 bits of the fraction of the square (2) or cube root (3) of each prime.
template <size_t count>
std::array<uint32_t, count> RootsOfPrimes(int degree) {
  std::array<uint32_t, count> words{};
  size_t found = 0;
  for (int n = 2; found < count; ++n) {
    bool prime = true;
    for (int d = 2; d * d <= n; ++d) prime &= n % d != 0;
    if (!prime) continue;
    const auto number = static_cast<long double>(n);
    const long double root = degree == 2 ? std::sqrt(number) : std::cbrt(number);
    words[found++] = static_cast<uint32_t>((root - std::floor(root)) * 0x1.0p32L);
  }
  return words;
}

inline void Sha256Block(std::array<uint32_t, 8>& state, const uint8_t* block) {
  static const std::array<uint32_t, 64> kRound = RootsOfPrimes<64>(3);
  std::array<uint32_t, 64> w{};
  for (size_t i = 0; i < 16; ++i) {
    for (size_t b = 0; b < 4; ++b) w[i] = w[i] << 8 | block[4 * i + b];
  }
  for (size_t i = 16; i < 64; ++i) {
    const uint32_t s0 = std::rotr(w[i - 15], 7) ^ std::rotr(w[i - 15], 18) ^ w[i - 15] >> 3;
    const uint32_t s1 = std::rotr(w[i - 2], 17) ^ std::rotr(w[i - 2], 19) ^ w[i - 2] >> 10;
    w[i] = w[i - 16] + s0 + w[i - 7] + s1;
  }
  auto [a, b, c, d, e, f, g, h] = state;
  for (size_t i = 0; i < 64; ++i) {
    const uint32_t choose = (e & f) ^ (~e & g), majority = (a & b) ^ (a & c) ^ (b & c);
    const uint32_t t1 = h + (std::rotr(e, 6) ^ std::rotr(e, 11) ^ std::rotr(e, 25)) + choose + kRound[i] + w[i];
    const uint32_t t2 = (std::rotr(a, 2) ^ std::rotr(a, 13) ^ std::rotr(a, 22)) + majority;
    h = g, g = f, f = e, e = d + t1, d = c, c = b, b = a, a = t1 + t2;
  }
  const std::array<uint32_t, 8> mixed = {a, b, c, d, e, f, g, h};
  for (size_t i = 0; i < 8; ++i) state[i] += mixed[i];
}

/// 64 lower-case hexadecimal digits.
inline std::string Sha256(std::span<const uint8_t> bytes) {
  std::array<uint32_t, 8> state = RootsOfPrimes<8>(2);
  const size_t whole = bytes.size() / 64 * 64;
  for (size_t i = 0; i < whole; i += 64) Sha256Block(state, bytes.data() + i);
  std::vector<uint8_t> tail(bytes.begin() + static_cast<std::ptrdiff_t>(whole), bytes.end());
  tail.push_back(0x80);
  while (tail.size() % 64 != 56) tail.push_back(0);
  for (int shift = 56; shift >= 0; shift -= 8) tail.push_back(static_cast<uint8_t>(uint64_t{bytes.size()} * 8 >> shift));
  for (size_t i = 0; i < tail.size(); i += 64) Sha256Block(state, tail.data() + i);
  std::string hex;
  for (uint32_t word : state) {
    char digits[9];
    std::snprintf(digits, sizeof digits, "%08x", word);
    hex += digits;
  }
  return hex;
}

}  // namespace basin::test
