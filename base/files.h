// Files that are never seen half-written, read whole or mapped.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
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

/// A file that appears under its name only when complete: bytes go to a temporary name in the same folder,
/// Commit() syncs and renames. Destroyed without Commit(), it leaves nothing behind. All failures: DataError
/// with path and system message (disk full, permission, missing folder).
class AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void Write(std::span<const std::byte> bytes);
  void Write(std::string_view text);
  void Commit();
  /// Of what was written so far.
  FileDigest digest() const;
  /// Where it is until Commit(), for who must look at the whole before it appears; empty afterwards.
  const std::filesystem::path& temporary() const { return temporary_; }

 private:
  std::filesystem::path path_;
  std::filesystem::path temporary_;
  int descriptor_ = -1;
  int64_t bytes_ = 0;
  struct FreeHash {
    void operator()(XXH64_state_s* state) const;
  };
  std::unique_ptr<XXH64_state_s, FreeHash> hash_;
};

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
