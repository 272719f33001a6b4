#include "coordinator/piece_hashes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "base/error.h"

namespace basin::coordinator {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::span<const std::byte> Bytes(const std::string& text) { return std::as_bytes(std::span(text)); }

std::string Noise(size_t size) {
  std::string text(size, '\0');
  uint32_t state = 1;
  for (char& c : text) c = static_cast<char>((state = state * 1664525U + 1013904223U) >> 24);
  return text;
}

TEST(PieceHashes, AreThoseOfThePiecesAndTheIdentityIsTheHashOfThem) {
  const std::string file = Noise(2 * kMaxChunkBytes + 10);
  const PieceHashes all = PieceHashes::Of(Bytes(file));
  const uint64_t a = base::Hash64(Bytes(file).first(kMaxChunkBytes));
  const uint64_t b = base::Hash64(Bytes(file).subspan(kMaxChunkBytes, kMaxChunkBytes));
  const uint64_t c = base::Hash64(Bytes(file).last(10));
  EXPECT_THAT(all.hashes(), ElementsAre(a, b, c));
  std::string text;  // written out by hand, little end first
  for (const uint64_t hash : {a, b, c})
    for (int byte = 0; byte < 8; ++byte) text += static_cast<char>(hash >> (8 * byte));
  EXPECT_EQ(all.digest(), (base::FileDigest{static_cast<int64_t>(file.size()), base::Hash64(Bytes(text))}));
}

TEST(PieceHashes, DoNotDependOnHowTheFileIsCutIntoChunks) {
  const std::string file = Noise(2 * kMaxChunkBytes + 10);
  const auto whole = PieceHashes::Of(Bytes(file)).digest();
  for (const size_t chunk : {size_t{1000}, kMaxChunkBytes - 1, kMaxChunkBytes, kMaxChunkBytes + 1, file.size()}) {
    PieceHashes hashes(static_cast<int64_t>(file.size()));
    for (size_t at = 0; at < file.size(); at += chunk) {
      const auto bytes = Bytes(file).subspan(at, std::min(chunk, file.size() - at));
      const std::array parts{bytes.first(bytes.size() / 3), bytes.subspan(bytes.size() / 3)};
      hashes.Take(parts, HashOf(parts));
    }
    EXPECT_EQ(hashes.digest(), whole) << chunk;
  }
}

TEST(PieceHashes, AFileThatEndsWithAPieceHasNoEmptyOne) {
  EXPECT_EQ(PieceHashes::Of(Bytes(Noise(kMaxChunkBytes))).hashes().size(), 1U);
  EXPECT_THAT(PieceHashes::Of({}).hashes(), IsEmpty());
}

TEST(PieceHashes, MoreOrLessThanTheFileIsABug) {
  const std::string text = "abc";
  const auto bytes = Bytes(text);
  PieceHashes hashes(2);
  EXPECT_THROW(hashes.Take({&bytes, 1}, 0), CheckFailed);
  EXPECT_THROW(hashes.digest(), CheckFailed);
}

TEST(Piece, EndsWhereAPieceOfTheFileEnds) {
  const std::string file = Noise(2 * kMaxChunkBytes + 10);
  const PieceHashes all = PieceHashes::Of(Bytes(file));
  const auto size = static_cast<int64_t>(kMaxChunkBytes);
  for (const int64_t offset : {int64_t{0}, int64_t{1}, size - 1, size, 2 * size, 2 * size + 9}) {
    const Piece piece = PieceAt(Bytes(file), all.hashes(), offset);
    EXPECT_EQ(piece.bytes.data(), Bytes(file).data() + offset);
    EXPECT_EQ(piece.bytes.size(), std::min(file.size(), (offset / kMaxChunkBytes + 1) * kMaxChunkBytes) - offset);
    EXPECT_EQ(piece.hash, base::Hash64(piece.bytes)) << offset;
  }
}

}  // namespace
}  // namespace basin::coordinator
