#include "coordinator/piece_hashes.h"

#include <algorithm>
#include <bit>

#include "base/error.h"

namespace basin::coordinator {
namespace {

constexpr int64_t kPieceBytes = kMaxChunkBytes;

size_t BytesOf(Parts parts) {
  size_t bytes = 0;
  for (const auto part : parts) bytes += part.size();
  return bytes;
}

}  // namespace

uint64_t HashOf(Parts parts) {
  if (parts.size() == 1) return base::Hash64(parts[0]);
  base::Hash64Stream hash;
  for (const auto part : parts) hash.Update(part);
  return hash.digest();
}

PieceHashes PieceHashes::Of(std::span<const std::byte> file) {
  PieceHashes all(static_cast<int64_t>(file.size()));
  for (auto rest = file; !rest.empty();) {
    const auto piece = rest.first(std::min(kMaxChunkBytes, rest.size()));
    all.Take({&piece, 1}, base::Hash64(piece));
    rest = rest.subspan(piece.size());
  }
  return all;
}

void PieceHashes::Take(Parts parts, uint64_t hash) {
  const auto num_bytes = static_cast<int64_t>(BytesOf(parts));
  BASIN_CHECK(num_bytes <= total_ - taken_, num_bytes, " bytes, but only ", total_ - taken_, " of the file are left");
  if (taken_ % kPieceBytes == 0 && num_bytes == std::min(kPieceBytes, total_ - taken_)) {
    hashes_.push_back(hash);
    taken_ += num_bytes;
    return;
  }
  for (auto part : parts) {
    while (!part.empty()) {
      const int64_t left_of_piece = std::min(kPieceBytes - taken_ % kPieceBytes, total_ - taken_);
      const auto now = part.first(std::min(part.size(), static_cast<size_t>(left_of_piece)));
      piece_.Update(now);
      taken_ += static_cast<int64_t>(now.size());
      part = part.subspan(now.size());
      if (static_cast<int64_t>(now.size()) < left_of_piece) continue;
      hashes_.push_back(piece_.digest());
      piece_.Reset();
    }
  }
}

base::FileDigest PieceHashes::digest() const {
  static_assert(std::endian::native == std::endian::little, "the identity is of little-endian hashes");
  BASIN_CHECK(taken_ == total_, "only ", taken_, " of ", total_, " bytes have come");
  return {total_, base::Hash64(std::as_bytes(std::span(hashes_)))};
}

Piece PieceAt(std::span<const std::byte> file, std::span<const uint64_t> hashes, int64_t offset) {
  const auto at = static_cast<size_t>(offset), into = at % kMaxChunkBytes;
  const auto bytes = file.subspan(at, std::min(kMaxChunkBytes - into, file.size() - at));
  return {bytes, into == 0 ? hashes[at / kMaxChunkBytes] : base::Hash64(bytes)};
}

}  // namespace basin::coordinator
