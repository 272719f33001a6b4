#include "base/files.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <system_error>
#include <utility>

#include "base/error.h"

namespace basin::base {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void ThrowSystem(std::string_view action, const fs::path& path, int error) {
  throw DataError(
      Text("cannot ", action, " ", path.string(), ": ", std::generic_category().message(error)));
}

// A descriptor that closes itself.
class Descriptor {
 public:
  explicit Descriptor(int value) : value_(value) {}
  ~Descriptor() {
    if (value_ >= 0) ::close(value_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return value_; }

 private:
  int value_;
};

int OpenForReading(const fs::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) ThrowSystem("open", path, errno);
  return descriptor;
}

size_t SizeOfOpenFile(const Descriptor& file, const fs::path& path) {
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) ThrowSystem("examine", path, errno);
  if (S_ISDIR(status.st_mode)) ThrowSystem("read", path, EISDIR);
  return static_cast<size_t>(status.st_size);
}

fs::path FolderOf(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

constexpr std::string_view kTemporary = ".tmp.";

// Unique in this process by the counter and on this host by the process id.
fs::path TemporaryNameFor(const fs::path& path) {
  static std::atomic<uint64_t> counter{0};
  fs::path name = path;
  name += Text(kTemporary, ::getpid(), ".", counter.fetch_add(1));
  return name;
}

// Whether the file is ours to write: locked, and still there. Where the file system has no locks, everybody's.
bool Claim(int descriptor) {
  if (::flock(descriptor, LOCK_EX | LOCK_NB) != 0) return errno != EWOULDBLOCK;
  struct stat status {};
  return ::fstat(descriptor, &status) == 0 && status.st_nlink > 0;
}

}  // namespace

// A rename survives a power cut only once its folder is on disk too.
void SyncFolder(const fs::path& folder) {
  const Descriptor descriptor(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (descriptor.get() < 0) {
    if (errno == EACCES)
      return;  // a folder may be writable but not readable; then there is nothing to sync with
    ThrowSystem("open the folder", folder, errno);
  }
  // Some network file systems know no fsync of folders and say so with EINVAL.
  if (::fsync(descriptor.get()) != 0 && errno != EINVAL && errno != ENOTSUP) {
    ThrowSystem("sync the folder", folder, errno);
  }
}

Hash64Stream::Hash64Stream() : state_(XXH64_createState()) { Reset(); }
void Hash64Stream::Free::operator()(XXH64_state_s* state) const { XXH64_freeState(state); }
void Hash64Stream::Reset() { XXH64_reset(state_.get(), 0); }
void Hash64Stream::Update(std::span<const std::byte> bytes) { XXH64_update(state_.get(), bytes.data(), bytes.size()); }
uint64_t Hash64Stream::digest() const { return XXH64_digest(state_.get()); }

AtomicFile::AtomicFile(fs::path path, Hashing hashing) : path_(std::move(path)) {
  if (hashing == Hashing::kWhole) hash_.emplace();
  if (!path_.has_filename())
    throw DataError(Text("cannot write '", path_.string(), "': it names no file"));
  // What the name stands for is replaced: a link keeps pointing at the new file, and a device is not turned into one.
  std::error_code ignored;
  if (fs::is_symlink(path_, ignored) && fs::exists(path_, ignored)) path_ = fs::canonical(path_, ignored);
  if (fs::is_other(path_, ignored)) throw DataError(Text("cannot write '", path_.string(), "': it is a device or a pipe, no file"));
  constexpr int kFlags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC;
  for (;;) {
    temporary_ = TemporaryNameFor(path_);
    descriptor_ = ::open(temporary_.c_str(), kFlags, 0666);
    if (descriptor_ >= 0 && Claim(descriptor_)) return;
    // A killed process, or one on another host, may have left or hold this very name, and one that looks for abandoned
    // files may have been quicker than our lock: take the next name.
    if (descriptor_ >= 0) {
      ::close(std::exchange(descriptor_, -1));
    } else if (errno != EEXIST && errno != EINTR) {
      ThrowSystem("create", path_, errno);
    }
  }
}

AtomicFile::~AtomicFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void AtomicFile::Reserve(int64_t num_bytes) {
  BASIN_CHECK(descriptor_ >= 0, path_.string(), " is already committed");
  // The length stays what was written: a reader of the temporary sees no zeros.
  while (::fallocate(descriptor_, FALLOC_FL_KEEP_SIZE, bytes_, num_bytes) != 0) {
    if (errno == ENOSPC || errno == EDQUOT || errno == EFBIG) ThrowSystem(Text("set ", num_bytes, " bytes aside for"), path_, errno);
    if (errno != EINTR) return;
  }
}

// In pieces that go to the disk at once: else a large file would lie in memory until the sync, and only then the disk
// would begin.
constexpr size_t kSyncPiece = size_t{16} << 20;

void AtomicFile::WriteParts(std::span<const std::span<const std::byte>> parts) {
  BASIN_CHECK(descriptor_ >= 0, path_.string(), " is already committed");
  constexpr size_t kMaxParts = 64;
  for (size_t done = 0; !parts.empty();) {  // bytes of the first part that are written already
    std::array<iovec, kMaxParts> pieces;
    size_t count = 0, wanted = 0;
    for (; count < std::min(parts.size(), kMaxParts) && wanted < kSyncPiece; ++count) {
      const auto rest = count == 0 ? parts[0].subspan(done) : parts[count];
      pieces[count] = {const_cast<std::byte*>(rest.data()), std::min(rest.size(), kSyncPiece - wanted)};
      wanted += pieces[count].iov_len;
    }
    const ssize_t written = ::writev(descriptor_, pieces.data(), static_cast<int>(count));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) ThrowSystem("write", path_, errno);
    for (size_t left = static_cast<size_t>(written); !parts.empty();) {
      const auto part = parts[0].subspan(done).first(std::min(left, parts[0].size() - done));
      if (hash_) hash_->Update(part);
      done += part.size();
      left -= part.size();
      if (done < parts[0].size()) break;
      parts = parts.subspan(1);
      done = 0;
    }
    Written(static_cast<size_t>(written));
  }
}

void AtomicFile::Written(size_t num_bytes) {
  bytes_ += static_cast<int64_t>(num_bytes);
  if (bytes_ - begun_to_sync_ < static_cast<int64_t>(kSyncPiece)) return;
  ::sync_file_range(descriptor_, begun_to_sync_, bytes_ - begun_to_sync_, SYNC_FILE_RANGE_WRITE);  // a hint; it may fail
  begun_to_sync_ = bytes_;
}

FileDigest AtomicFile::digest() const { return {.bytes = bytes_, .hash = hash_ ? hash_->digest() : 0}; }

void AtomicFile::Write(std::string_view text) {
  Write(std::as_bytes(std::span(text.data(), text.size())));
}

void AtomicFile::Commit() {
  BASIN_CHECK(descriptor_ >= 0, path_.string(), " is already committed");
  if (::fsync(descriptor_) != 0) ThrowSystem("sync", path_, errno);
  // On network file systems close is where a full disk is reported.
  if (::close(std::exchange(descriptor_, -1)) != 0) ThrowSystem("close", path_, errno);
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) ThrowSystem("put into place", path_, errno);
  temporary_.clear();
  SyncFolder(FolderOf(path_));
}

std::string NameOfTemporary(std::string_view name) {
  const size_t at = name.rfind(kTemporary);
  if (at == std::string_view::npos || at == 0) return {};
  const std::string_view numbers = name.substr(at + kTemporary.size());
  const bool ours = !numbers.empty() && numbers.find_first_not_of("0123456789.") == std::string_view::npos;
  return ours ? std::string(name.substr(0, at)) : std::string();
}

bool RemoveAbandoned(const fs::path& temporary) {
  const Descriptor file(::open(temporary.c_str(), O_RDWR | O_CLOEXEC));
  // Its writer holds the lock as long as it lives, so who gets it is alone with the file.
  if (file.get() < 0 || ::flock(file.get(), LOCK_EX | LOCK_NB) != 0) return false;
  return ::unlink(temporary.c_str()) == 0;
}

void WriteFileAtomically(const fs::path& path, std::string_view content) {
  std::error_code error;
  fs::create_directories(FolderOf(path), error);
  if (error) ThrowSystem("create the folder", FolderOf(path), error.value());
  AtomicFile file(path);
  file.Write(content);
  file.Commit();
}

std::string ReadFile(const fs::path& path) {
  const Descriptor file(OpenForReading(path));
  // The size is only a hint: files of /proc say 0, and a growing file is longer than it said.
  std::string content(SizeOfOpenFile(file, path) + 1, '\0');
  size_t used = 0;
  while (true) {
    if (used == content.size()) content.resize(2 * content.size());
    const ssize_t count = ::read(file.get(), content.data() + used, content.size() - used);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) ThrowSystem("read", path, errno);
    if (count == 0) break;
    used += static_cast<size_t>(count);
  }
  content.resize(used);
  return content;
}

MappedFile::MappedFile(const fs::path& path) {
  const Descriptor file(OpenForReading(path));
  size_ = SizeOfOpenFile(file, path);
  if (size_ == 0) return;  // mmap refuses a length of 0
  void* address = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file.get(), 0);
  if (address == MAP_FAILED) ThrowSystem("map", path, errno);
  data_ = static_cast<const std::byte*>(address);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

TemporaryFolder::TemporaryFolder() {
  std::error_code error;
  const fs::path parent = fs::temp_directory_path(error);
  if (error)
    throw DataError(
        Text("no temporary folder: ", error.message(), ". Set TMPDIR to an existing folder."));
  std::string name = (parent / "basin-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) ThrowSystem("create the folder", name, errno);
  path_ = name;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;  // a destructor has nobody to tell
  fs::remove_all(path_, ignored);
}

uint64_t Hash64(std::span<const std::byte> bytes) { return XXH64(bytes.data(), bytes.size(), 0); }

std::string HexHash(uint64_t hash) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string hex(16, '0');
  for (size_t i = 0; i < hex.size(); ++i) hex[i] = kDigits[(hash >> (60 - 4 * i)) & 0xF];
  return hex;
}

}  // namespace basin::base
