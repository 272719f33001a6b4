// Files of weights in the coordinator's folder: received piece by piece, checked, kept, found again. No gRPC here, and
// nothing of who may do what: that is the service's.
//
// A file that is being received lies under a temporary name (base::AtomicFile). It gets its own name only when it is
// whole, its digest is the one that was announced and it reads as a safetensors file. When a stream breaks off, what it
// brought is kept for the next one until the store is destroyed. Digests are those of PieceHashes.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/files.h"
#include "coordinator/limits.h"
#include "coordinator/piece_hashes.h"
#include "coordinator/types.h"

namespace basin::coordinator {

/// Thread-safe. Calls write, read and sync files, so they may take as long as the disk does. Failures: Refused, with
/// the reason for the caller; DataError when the disk fails (full, not writable, folder missing), and what had come of
/// that file is dropped: it may be what fills the disk.
class WeightsStore {
  struct Entry;

 public:
  /// One stream of one file. Used by one thread; the store must outlive it. Destroyed before the end, it leaves what
  /// was verified.
  class Incoming {
   public:
    ~Incoming();
    Incoming(const Incoming&) = delete;
    Incoming& operator=(const Incoming&) = delete;

    /// The next bytes of the file, 1 to kMaxChunkBytes; `hash` is their xxh64. Refused, and nothing is taken: `offset`
    /// is not where the last ones ended, the hash is another, they go beyond the announced end, or a newer stream took
    /// this one's place.
    void AppendParts(int64_t offset, uint64_t hash, Parts parts);
    void Append(int64_t offset, uint64_t hash, std::span<const std::byte> bytes) { AppendParts(offset, hash, {&bytes, 1}); }
    /// No more bytes come from this stream. If all are there the file is checked and put in place; Refused, and all of
    /// it is dropped, when the digest is another or it is no safetensors file.
    WeightsReceipt Finish();

   private:
    friend class WeightsStore;
    Incoming(std::shared_ptr<Entry> entry, uint64_t ticket) : entry_(std::move(entry)), ticket_(ticket) {}
    void RequireMine() const;

    const std::shared_ptr<Entry> entry_;
    const uint64_t ticket_;
  };

  /// A whole file.
  struct Kept {
    std::filesystem::path path{};
    base::FileDigest digest{};
    std::string flaw{};  ///< see WeightsReceipt
    std::shared_ptr<const std::vector<uint64_t>> pieces{};  ///< xxh64 of each
  };

  /// An empty folder: every call is refused. Else it must exist when the first file comes; temporary files in it that a
  /// killed coordinator left are removed.
  explicit WeightsStore(std::filesystem::path folder, int64_t max_bytes = kMaxWeightsBytes);

  /// Begins a stream at `offset`: 0, which drops what is held of an unfinished file, or exactly the bytes held of this
  /// same one. An older stream of the same name ends: its `on_replaced` is called, once, on this thread; it must not
  /// call the store.
  std::unique_ptr<Incoming> Receive(const std::string& name, const base::FileDigest& whole, int64_t offset,
                                    std::function<void()> on_replaced);
  /// How much is held of the file with this digest.
  WeightsReceipt Held(const std::string& name, const base::FileDigest& whole);
  /// The whole file of this name, one included that an earlier coordinator left in the folder (it is read and checked
  /// then). Nothing when there is none. A file that is there but no safetensors file: DataError.
  std::optional<Kept> Find(const std::string& name);

  /// Where a file of this name belongs; and that one was put there by somebody else (it is read then).
  std::filesystem::path PathOf(const std::string& name) const;
  void Adopt(const std::string& name);

  /// Refused when there is no folder.
  void RequireFolder() const;

 private:
  std::shared_ptr<Entry> EntryOf(const std::string& name);
  template <typename Work>
  static void OrDrop(Entry& entry, const Work& work);
  void RemoveTemporaries(const std::filesystem::path& of) const;

  const std::filesystem::path folder_;
  const int64_t max_bytes_;
  std::mutex mutex_;  // guards entries_; never held while a file is touched
  std::map<std::string, std::shared_ptr<Entry>> entries_;
};

/// Whether an average may have this name: letters, digits, '.', '_', '-', not '.' first, ending in ".safetensors".
bool IsAverageName(const std::string& name);
/// Whether it is MemberWeightsName of a member in range.
bool IsMemberName(const std::string& name);

}  // namespace basin::coordinator
