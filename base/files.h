// Files that are never seen half-written, read whole or mapped.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

struct XXH64_state_s;

namespace basin::base {

/// Size and xxh64 (seed 0) of a file's bytes.
struct FileDigest {
  int64_t bytes = 0;
  uint64_t hash = 0;
  bool operator==(const FileDigest&) const = default;
};

/// xxh64 (seed 0) of bytes that come in parts.
class Hash64Stream {
 public:
  Hash64Stream();
  void Update(std::span<const std::byte> bytes);
  /// Of all bytes since the beginning or the last Reset.
  uint64_t digest() const;
  void Reset();

 private:
  struct Free {
    void operator()(XXH64_state_s* state) const;
  };
  std::unique_ptr<XXH64_state_s, Free> state_;
};

/// A file that appears under its name only when complete: bytes go to a temporary name in the same folder,
/// Commit() syncs and renames. Destroyed without Commit(), it leaves nothing behind; what a killed process leaves,
/// RemoveAbandoned() finds by the lock that nobody holds any more. Bytes go to the disk as they come, 16 MiB at a time,
/// so that the sync finds little to do. All failures: DataError with path and system message (disk full, permission,
/// missing folder).
class AtomicFile {
 public:
  /// kNone, for who hashes the bytes anyway, leaves digest().hash at 0.
  enum class Hashing { kWhole, kNone };
  explicit AtomicFile(std::filesystem::path path, Hashing hashing = Hashing::kWhole);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  /// Sets space for so many bytes aside, so that a full disk is found out before they are written. No more than a hint
  /// where the file system cannot do it.
  void Reserve(int64_t num_bytes);
  void Write(std::span<const std::byte> bytes) { WriteParts({&bytes, 1}); }
  void Write(std::string_view text);
  /// All parts, as one where the system can.
  void WriteParts(std::span<const std::span<const std::byte>> parts);
  void Commit();
  /// Of what was written so far.
  FileDigest digest() const;
  /// Where it is until Commit(), for who must look at the whole before it appears; empty afterwards.
  const std::filesystem::path& temporary() const { return temporary_; }

 private:
  std::filesystem::path path_;
  std::filesystem::path temporary_;
  int descriptor_ = -1;
  int64_t bytes_ = 0, begun_to_sync_ = 0;
  std::optional<Hash64Stream> hash_;

  void Written(size_t num_bytes);
};

/// The name whose AtomicFile would have this temporary name; empty: it is no temporary name.
std::string NameOfTemporary(std::string_view name);

/// Removes an AtomicFile's temporary unless a live process writes it. False: it was left, or there was none.
bool RemoveAbandoned(const std::filesystem::path& temporary);

/// AtomicFile in one call. Creates missing parent folders.
void WriteFileAtomically(const std::filesystem::path& path, std::string_view content);

/// Puts the names in a folder on disk, as AtomicFile does after its rename. DataError when that fails; nothing where the file
/// system cannot do it.
void SyncFolder(const std::filesystem::path& folder);

/// Whole file as bytes. DataError when missing or unreadable.
std::string ReadFile(const std::filesystem::path& path);

/// Read-only memory map of a whole file; move-only. An empty file has an empty span.
class MappedFile {
 public:
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&&) = delete;
  std::span<const std::byte> bytes() const { return {data_, size_}; }

 private:
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

/// A fresh folder under the system's temporary folder, removed with its content at the end of its life.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// xxh64 (seed 0) of the bytes; hex form has 16 lower-case digits.
uint64_t Hash64(std::span<const std::byte> bytes);
std::string HexHash(uint64_t hash);

}  // namespace basin::base
