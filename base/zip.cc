#include "base/zip.h"

#include <algorithm>
#include <optional>

#include "base/crc32.h"
#include "base/error.h"

namespace basin::base {
namespace {

constexpr uint32_t kLocal = 0x04034b50, kCentral = 0x02014b50, kEnd64 = 0x06064b50, kLocator64 = 0x07064b50, kEnd = 0x06054b50;
constexpr uint16_t kVersion = 45;           // the first with ZIP64
constexpr uint16_t kUtf8 = 0x0800;          // flag: names are UTF-8
constexpr uint16_t kEncrypted = 0x0001;     // flag
constexpr uint16_t kFirstDay = 0x0021;      // 1980-01-01: the same bytes whenever it is written
constexpr uint16_t kSizes64 = 0x0001;       // extra field: sizes and offset in 64 bits
constexpr uint16_t kPadding = 0x4246;       // extra field "FB", as PyTorch pads
constexpr uint32_t kElsewhere = 0xFFFFFFFF; // "look into the extra field"

/// Little-endian fields one after the other.
class Fields {
 public:
  Fields& U16(uint64_t value) { return Put(value, 2); }
  Fields& U32(uint64_t value) { return Put(value, 4); }
  Fields& U64(uint64_t value) { return Put(value, 8); }
  Fields& Bytes(const std::string& bytes) {
    bytes_ += bytes;
    return *this;
  }
  const std::string& bytes() const { return bytes_; }

 private:
  Fields& Put(uint64_t value, int size) {
    for (int k = 0; k < size; ++k) bytes_ += static_cast<char>(value >> (8 * k));
    return *this;
  }
  std::string bytes_;
};

/// Reads fields of a file and refuses to leave it.
class Cursor {
 public:
  Cursor(std::span<const std::byte> bytes, const std::filesystem::path& path, uint64_t at = 0) : bytes_(bytes), path_(path), at_(at) {}

  uint64_t Take(int size) {
    const auto field = Bytes(static_cast<uint64_t>(size));
    uint64_t value = 0;
    for (int k = 0; k < size; ++k) value |= static_cast<uint64_t>(field[static_cast<size_t>(k)]) << (8 * k);
    return value;
  }
  std::span<const std::byte> Bytes(uint64_t size) {
    if (at_ > bytes_.size() || size > bytes_.size() - at_) {
      throw DataError(
          Text(path_.string(), ": the zip archive is cut short or damaged: ", size, " bytes at ", at_, " are outside its ", bytes_.size()));
    }
    const auto part = bytes_.subspan(at_, size);
    at_ += size;
    return part;
  }
  std::string Name(uint64_t size) {
    const auto part = Bytes(size);
    return {reinterpret_cast<const char*>(part.data()), part.size()};
  }
  void Skip(uint64_t size) { Bytes(size); }
  uint64_t at() const { return at_; }

 private:
  std::span<const std::byte> bytes_;
  const std::filesystem::path& path_;
  uint64_t at_;
};

struct Directory {
  uint64_t entries = 0, offset = 0;
};

/// From the end records. The plain one is searched for backwards: a comment may follow it.
Directory FindDirectory(std::span<const std::byte> file, const std::filesystem::path& path) {
  constexpr uint64_t kEndSize = 22, kLongestComment = 65535, kLocatorSize = 20;
  std::optional<uint64_t> end;
  for (uint64_t back = kEndSize; !end && back <= std::min<uint64_t>(file.size(), kEndSize + kLongestComment); ++back) {
    if (Cursor(file, path, file.size() - back).Take(4) == kEnd) end = file.size() - back;
  }
  if (!end) throw DataError(Text(path.string(), ": is no zip archive, or cut short: it has no end record"));
  Cursor plain(file, path, *end + 10);
  Directory directory{.entries = plain.Take(2)};
  plain.Skip(4);
  directory.offset = plain.Take(4);
  if (*end < kLocatorSize) return directory;
  Cursor locator(file, path, *end - kLocatorSize);
  if (locator.Take(4) != kLocator64) return directory;
  locator.Skip(4);
  Cursor wide(file, path, locator.Take(8));
  if (wide.Take(4) != kEnd64)
    throw DataError(Text(path.string(), ": the zip archive is damaged: its ZIP64 end record is not where it should be"));
  wide.Skip(28);
  directory.entries = wide.Take(8);
  wide.Skip(8);
  directory.offset = wide.Take(8);
  return directory;
}

struct Found {
  std::string name;
  uint64_t size = 0, packed = 0, offset = 0;
  uint32_t crc = 0;
};

/// The 64-bit values of the extra field stand there in this order, each only where its 32-bit field says "elsewhere".
void ReadExtra(Cursor extra, uint64_t length, Found& found) {
  const uint64_t end = extra.at() + length;
  while (extra.at() + 4 <= end) {
    const uint64_t kind = extra.Take(2), size = extra.Take(2), next = extra.at() + size;
    if (kind == kSizes64) {
      for (uint64_t* value : {&found.size, &found.packed, &found.offset}) {
        if (*value == kElsewhere && extra.at() + 8 <= next) *value = extra.Take(8);
      }
    }
    extra.Skip(next - extra.at());
  }
}

Found ReadCentral(Cursor& cursor, std::span<const std::byte> file, const std::filesystem::path& path) {
  if (cursor.Take(4) != kCentral)
    throw DataError(Text(path.string(), ": the zip archive is damaged: its directory has something else at ", cursor.at() - 4));
  cursor.Skip(4);
  const uint64_t flags = cursor.Take(2), method = cursor.Take(2);
  cursor.Skip(4);
  Found found{.crc = static_cast<uint32_t>(cursor.Take(4))};
  found.packed = cursor.Take(4);
  found.size = cursor.Take(4);
  const uint64_t name = cursor.Take(2), extra = cursor.Take(2), comment = cursor.Take(2);
  cursor.Skip(8);
  found.offset = cursor.Take(4);
  found.name = cursor.Name(name);
  ReadExtra(Cursor(file, path, cursor.at()), extra, found);
  cursor.Skip(extra);
  cursor.Skip(comment);
  if (method != 0 || (flags & kEncrypted) != 0 || found.packed != found.size) {
    throw DataError(Text(path.string(), ": entry ", found.name,
                         " is compressed or encrypted; only stored entries are read, as torch.save writes them"));
  }
  return found;
}

std::span<const std::byte> Payload(const Found& found, std::span<const std::byte> file, const std::filesystem::path& path) {
  Cursor local(file, path, found.offset);
  if (local.Take(4) != kLocal)
    throw DataError(Text(path.string(), ": the zip archive is damaged: entry ", found.name, " is not where the directory says"));
  local.Skip(22);
  const uint64_t name = local.Take(2), extra = local.Take(2);
  local.Skip(name);
  local.Skip(extra);
  const auto bytes = local.Bytes(found.size);
  if (Crc32<kZipPolynomial>(bytes) != found.crc)
    throw DataError(Text(path.string(), ": entry ", found.name, " is damaged: its checksum is another"));
  return bytes;
}

}  // namespace

void ZipWriter::Write(const std::string& bytes) {
  file_.Write(std::string_view(bytes));
  at_ += bytes.size();
}

void ZipWriter::Add(const std::string& name, std::span<const std::byte> bytes) {
  BASIN_CHECK(name.size() <= 60'000, "an entry's name of ", name.size(), " bytes");
  const Entry entry{.name = name, .size = bytes.size(), .offset = at_, .crc = Crc32<kZipPolynomial>(bytes)};
  constexpr uint64_t kFixed = 30 + 20 + 4;  // header, sizes, head of the padding
  const uint64_t padding = (kZipAlignment - (at_ + kFixed + name.size()) % kZipAlignment) % kZipAlignment;
  Write(Fields().U32(kLocal).U16(kVersion).U16(kUtf8).U16(0).U16(0).U16(kFirstDay)
            .U32(entry.crc).U32(kElsewhere).U32(kElsewhere).U16(name.size()).U16(24 + padding).Bytes(name)
            .U16(kSizes64).U16(16).U64(entry.size).U64(entry.size)
            .U16(kPadding).U16(padding).Bytes(std::string(padding, 'Z')).bytes());
  file_.Write(bytes);
  at_ += bytes.size();
  entries_.push_back(entry);
}

FileDigest ZipWriter::Commit() {
  const uint64_t directory = at_;
  for (const Entry& entry : entries_) {
    Write(Fields().U32(kCentral).U16(kVersion).U16(kVersion).U16(kUtf8).U16(0).U16(0).U16(kFirstDay)
              .U32(entry.crc).U32(kElsewhere).U32(kElsewhere).U16(entry.name.size()).U16(28)
              .U16(0).U16(0).U16(0).U32(0).U32(kElsewhere).Bytes(entry.name)
              .U16(kSizes64).U16(24).U64(entry.size).U64(entry.size).U64(entry.offset).bytes());
  }
  const uint64_t end = at_, count = entries_.size();
  Write(Fields().U32(kEnd64).U64(44).U16(kVersion).U16(kVersion).U32(0).U32(0).U64(count).U64(count).U64(end - directory).U64(directory)
            .U32(kLocator64).U32(0).U64(end).U32(1)
            .U32(kEnd).U16(0).U16(0).U16(std::min<uint64_t>(count, 0xFFFF)).U16(std::min<uint64_t>(count, 0xFFFF))
            .U32(kElsewhere).U32(kElsewhere).U16(0).bytes());
  file_.Commit();
  return file_.digest();
}

ZipReader::ZipReader(const std::filesystem::path& path) : path_(path), file_(path) {
  const auto file = file_.bytes();
  const Directory directory = FindDirectory(file, path);
  Cursor cursor(file, path, directory.offset);
  uint64_t total = 0;
  for (uint64_t k = 0; k < directory.entries; ++k) {
    const Found found = ReadCentral(cursor, file, path);
    // Entries that overlap could make a short file long to check.
    if (found.size > file.size() || (total += found.size) > file.size())
      throw DataError(Text(path.string(), ": entry ", found.name, " does not fit into the file"));
    if (!entries_.try_emplace(found.name, Payload(found, file, path)).second)
      throw DataError(Text(path.string(), ": entry ", found.name, " is there twice"));
  }
}

}  // namespace basin::base
