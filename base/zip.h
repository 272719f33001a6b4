// Uncompressed zip archives (PKWARE's APPNOTE 6.3.10), written and read without a library.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/files.h"

namespace basin::base {

/// Every entry is stored, its bytes begin at a multiple of kZipAlignment (so that a file can be mapped), and the records of ZIP64 are used
/// throughout, so that size and number are not limited. Atomic: see AtomicFile. The archive depends on nothing but what is added.
inline constexpr uint64_t kZipAlignment = 64;
class ZipWriter {
 public:
  explicit ZipWriter(std::filesystem::path path) : file_(std::move(path)) {}
  /// `name` is UTF-8 with '/' between folders, and new; at most 60,000 bytes (CheckFailed otherwise).
  void Add(const std::string& name, std::span<const std::byte> bytes);
  /// Of the whole file.
  FileDigest Commit();

 private:
  struct Entry {
    std::string name;
    uint64_t size, offset;
    uint32_t crc;
  };
  void Write(const std::string& bytes);

  AtomicFile file_;
  std::vector<Entry> entries_;
  uint64_t at_ = 0;  // bytes written
};

/// A mapped archive whose entries are all stored. Checked on opening, each breach is a DataError that names file and entry: end records
/// (of ZIP64 too) and directory inside the file, no entry twice, compressed or encrypted, every entry's bytes inside the file and of the
/// checksum that the directory gives.
class ZipReader {
 public:
  explicit ZipReader(const std::filesystem::path& path);
  /// Name -> bytes, which borrow from the reader.
  const std::map<std::string, std::span<const std::byte>>& entries() const { return entries_; }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  MappedFile file_;
  std::map<std::string, std::span<const std::byte>> entries_;
};

}  // namespace basin::base
