// The hashes of a file that travels in pieces, and the file's identity made of them, so that no byte is hashed twice.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/files.h"
#include "coordinator/limits.h"

namespace basin::coordinator {

/// A message brings its bytes in one or several parts.
using Parts = std::span<const std::span<const std::byte>>;

/// xxh64 (seed 0) of all parts as one.
uint64_t HashOf(Parts parts);

/// xxh64 (seed 0) of each piece of a file: pieces have kMaxChunkBytes, the last one what is left. The bytes come in
/// order, in chunks of any size.
class PieceHashes {
 public:
  explicit PieceHashes(int64_t total_bytes) : total_(total_bytes) {}
  /// Of a whole file.
  static PieceHashes Of(std::span<const std::byte> file);

  /// The next bytes, no more than are left. `hash` is theirs; a chunk that is a whole piece is not hashed again.
  void Take(Parts parts, uint64_t hash);
  int64_t taken() const { return taken_; }
  /// The file's size and identity: xxh64 (seed 0) of the pieces' hashes, 8 bytes little-endian each. The file must be whole.
  base::FileDigest digest() const;
  const std::vector<uint64_t>& hashes() const { return hashes_; }

 private:
  int64_t total_, taken_ = 0;
  std::vector<uint64_t> hashes_;
  base::Hash64Stream piece_;  // of what came of a piece that came in several chunks
};

/// What goes into one message.
struct Piece {
  std::span<const std::byte> bytes{};
  uint64_t hash = 0;
};
/// From `offset` (inside the file) to the end of the piece that it lies in. `hashes` are those of the file.
Piece PieceAt(std::span<const std::byte> file, std::span<const uint64_t> hashes, int64_t offset);

}  // namespace basin::coordinator
