#include "coordinator/weights_store.h"

#include <algorithm>
#include <charconv>
#include <system_error>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "base/safetensors.h"
#include "coordinator/flaw_scan.h"
#include "coordinator/service.h"

namespace basin::coordinator {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kEnding = ".safetensors", kMembersFolder = "members/";

[[noreturn]] void Refuse(const std::string& text) { throw Refused(Refused::Why::kInvalid, text); }

/// Reads and checks a whole file. DataError when it is no safetensors file.
WeightsStore::Kept Examined(const fs::path& path) {
  const base::SafetensorsReader reader(path);
  const PieceHashes pieces = PieceHashes::Of(base::MappedFile(path).bytes());
  return {path, pieces.digest(), FlawOf(reader), std::make_shared<const std::vector<uint64_t>>(pieces.hashes())};
}

WeightsReceipt ReceiptOf(const WeightsStore::Kept& kept) {
  return {.held_bytes = kept.digest.bytes, .complete = true, .flaw = kept.flaw};
}

}  // namespace

/// A file that is being received.
struct Spool {
  Spool(const fs::path& path, const base::FileDigest& whole)
      : whole(whole), file(path, base::AtomicFile::Hashing::kNone), hashes(whole.bytes) {}

  /// The next bytes. Space is set aside in large steps: cheaper for the file system than many small ones, and no member
  /// can occupy with an announcement what it never sends.
  void Keep(uint64_t hash, size_t num_bytes, Parts parts) {
    constexpr int64_t kStep = 64 << 20;
    if (reserved < whole.bytes && hashes.taken() + static_cast<int64_t>(num_bytes) > reserved) {
      const int64_t step = std::min(std::max<int64_t>(kStep, static_cast<int64_t>(num_bytes)), whole.bytes - hashes.taken());
      file.Reserve(step);
      reserved = hashes.taken() + step;
    }
    for (const auto part : parts) scan.Take(part);
    file.WriteParts(parts);
    hashes.Take(parts, hash);
  }

  const base::FileDigest whole;  // announced
  base::AtomicFile file;
  PieceHashes hashes;
  FlawScan scan;
  int64_t reserved = 0;  // from the start of the file
};

/// Better told before than after an hour of sending.
void RequireSpace(const fs::path& folder, int64_t num_bytes) {
  std::error_code error;
  const fs::space_info space = fs::space(folder, error);
  if (!error && space.capacity > 0 && space.available < static_cast<uintmax_t>(num_bytes))
    throw DataError(Text("it has ", num_bytes, " bytes, and ", folder.string(), " has room for ", space.available));
}

/// One name: the file that is in place and the one that is being received.
struct WeightsStore::Entry {
  explicit Entry(std::string name) : name(std::move(name)) {}
  const std::string name;
  std::mutex mutex;  // guards what follows; held while files are touched
  std::optional<Kept> kept;
  std::unique_ptr<Spool> spool;
  fs::path path;
  uint64_t ticket = 0;                // of the newest stream
  std::function<void()> on_replaced;  // of that stream, while it lasts

  int64_t HeldBytes() const { return spool == nullptr ? 0 : spool->hashes.taken(); }
  bool Receives(const base::FileDigest& whole) const { return spool != nullptr && spool->whole == whole; }
};

WeightsStore::WeightsStore(fs::path folder, int64_t max_bytes) : folder_(std::move(folder)), max_bytes_(max_bytes) {
  if (folder_.empty()) return;
  RemoveTemporaries({});
  RemoveTemporaries(kMembersFolder);
}

void WeightsStore::RemoveTemporaries(const fs::path& of) const {
  std::error_code error;  // whoever cannot read the folder learns so when the first file comes
  for (fs::directory_iterator at(folder_ / of, error), end; !error && at != end; at.increment(error)) {
    const std::string name = (of / base::NameOfTemporary(at->path().filename().string())).string();
    if ((IsMemberName(name) || IsAverageName(name)) && base::RemoveAbandoned(at->path()))
      base::LogInfo(Text("removed ", at->path().string(), ", which a coordinator that was killed had not finished"));
  }
}

bool IsAverageName(const std::string& name) {
  if (name.size() > kMaxFileNameBytes || !name.ends_with(kEnding) || name.size() == kEnding.size()) return false;
  return name[0] != '.' && std::ranges::all_of(name, [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
                  c == '-';
         });
}

bool IsMemberName(const std::string& name) {
  if (!name.starts_with(kMembersFolder)) return false;
  int member = -1;
  std::from_chars(name.data() + kMembersFolder.size(), name.data() + name.size(), member);
  return member >= 0 && member < kMaxMembers && name == MemberWeightsName(member);
}

fs::path WeightsStore::PathOf(const std::string& name) const { return folder_ / name; }

void WeightsStore::RequireFolder() const {
  if (folder_.empty())
    Refuse("this coordinator keeps no files; start it with a folder for them (basin-coordinator --run-dir DIR)");
}

std::shared_ptr<WeightsStore::Entry> WeightsStore::EntryOf(const std::string& name) {
  RequireFolder();
  if (!IsMemberName(name) && !IsAverageName(name)) {
    Refuse(Text("'", name.substr(0, kMaxFileNameBytes), "' names no file here; allowed: ", MemberWeightsName(0),
                " and so on, and plain names that end in ", kEnding, ", of at most ", kMaxFileNameBytes, " bytes"));
  }
  const std::lock_guard lock(mutex_);
  if (const auto found = entries_.find(name); found != entries_.end()) return found->second;
  // A name that nobody has sent, and that is not there, is not remembered: else callers could invent names without end.
  auto entry = std::make_shared<Entry>(name);
  entry->path = PathOf(name);
  std::error_code ignored;
  if (IsMemberName(name) || fs::exists(entry->path, ignored)) entries_.emplace(name, entry);
  return entry;
}

/// Runs work that touches an entry's spool, and drops the spool when it throws.
template <typename Work>
void WeightsStore::OrDrop(Entry& entry, const Work& work) {
  try {
    work();
  } catch (const DataError& failure) {
    entry.spool.reset();
    throw DataError(Text("the coordinator cannot keep ", entry.name, ": ", failure.what(),
                         ". Free or mend its disk and send anew; what had come is removed, earlier files are as they were"));
  }
}

std::unique_ptr<WeightsStore::Incoming> WeightsStore::Receive(const std::string& name, const base::FileDigest& whole,
                                                              int64_t offset, std::function<void()> on_replaced) {
  const std::shared_ptr<Entry> entry = EntryOf(name);
  if (whole.bytes < 1 || whole.bytes > max_bytes_)
    Refuse(Text(name, " is to have ", whole.bytes, " bytes; allowed: 1 to ", max_bytes_));
  const std::lock_guard lock(entry->mutex);
  if (entry->kept && entry->kept->digest == whole) Refuse(Text(name, " is here already, whole"));
  const bool goes_on = entry->Receives(whole);
  if (offset != 0 && (!goes_on || offset != entry->HeldBytes())) {
    Refuse(Text(name, " is to go on at byte ", offset, ", but ", goes_on ? entry->HeldBytes() : 0,
                " bytes of this file are held; ask with HeldWeights where to go on"));
  }
  if (offset == 0) {
    std::error_code error;
    if (!fs::is_directory(folder_, error))
      throw DataError(Text("the coordinator's folder ", folder_.string(), " is missing"));
    fs::create_directories(entry->path.parent_path(), error);
    if (error) throw DataError(Text("cannot create ", entry->path.parent_path().string(), ": ", error.message()));
    entry->spool.reset();  // first: its bytes may be what fills the disk
    OrDrop(*entry, [&] {
      RequireSpace(entry->path.parent_path(), whole.bytes);
      entry->spool = std::make_unique<Spool>(entry->path, whole);
    });
  }
  if (entry->on_replaced) entry->on_replaced();
  entry->on_replaced = std::move(on_replaced);
  return std::unique_ptr<Incoming>(new Incoming(entry, ++entry->ticket));
}

WeightsStore::Incoming::~Incoming() {
  const std::lock_guard lock(entry_->mutex);
  if (entry_->ticket == ticket_) entry_->on_replaced = nullptr;
}

void WeightsStore::Incoming::RequireMine() const {
  if (entry_->ticket != ticket_ || entry_->spool == nullptr)
    Refuse(Text("a newer stream of ", entry_->name, " took the place of this one, or this one has ended"));
}

void WeightsStore::Incoming::AppendParts(int64_t offset, uint64_t hash, Parts parts) {
  size_t num_bytes = 0;
  for (const auto part : parts) num_bytes += part.size();
  if (num_bytes == 0 || num_bytes > kMaxChunkBytes)
    Refuse(Text("a chunk of ", num_bytes, " bytes; allowed: 1 to ", kMaxChunkBytes));
  if (HashOf(parts) != hash)
    Refuse(Text(entry_->name, ": the chunk at byte ", offset,
                " has another hash than announced; it was damaged on its way"));
  const std::lock_guard lock(entry_->mutex);
  RequireMine();
  const int64_t held = entry_->HeldBytes(), left = entry_->spool->whole.bytes - held;
  if (offset != held)
    Refuse(Text(entry_->name, ": a chunk begins at byte ", offset, "; allowed: ", held, ", where the last ended"));
  if (static_cast<int64_t>(num_bytes) > left)
    Refuse(Text(entry_->name, ": a chunk of ", num_bytes, " bytes, but only ", left, " of those announced are left"));
  OrDrop(*entry_, [&] { entry_->spool->Keep(hash, num_bytes, parts); });
}

WeightsReceipt WeightsStore::Incoming::Finish() {
  const std::lock_guard lock(entry_->mutex);
  RequireMine();
  Entry& entry = *entry_;
  if (entry.HeldBytes() < entry.spool->whole.bytes) return {.held_bytes = entry.HeldBytes()};
  // Whatever is wrong with the whole, its bytes are of no use.
  const std::unique_ptr<Spool> spool = std::move(entry.spool);
  const base::FileDigest found = spool->hashes.digest();
  if (found != spool->whole)
    Refuse(Text(entry.name, " has hash ", base::HexHash(found.hash), "; announced: ", base::HexHash(spool->whole.hash)));
  Kept kept{entry.path, found, {}, std::make_shared<const std::vector<uint64_t>>(spool->hashes.hashes())};
  try {
    const base::SafetensorsReader reader(spool->file.temporary());
    const std::optional<std::string> flaw = spool->scan.flaw();
    kept.flaw = flaw ? *flaw : FlawOf(reader);
  } catch (const DataError& failure) {
    Refuse(Text(entry.name, " cannot be used: ", failure.what()));
  }
  OrDrop(entry, [&] { spool->file.Commit(); });
  entry.kept = std::move(kept);
  return ReceiptOf(*entry.kept);
}

WeightsReceipt WeightsStore::Held(const std::string& name, const base::FileDigest& whole) {
  const std::shared_ptr<Entry> entry = EntryOf(name);
  {
    const std::lock_guard lock(entry->mutex);
    if (entry->Receives(whole)) return {.held_bytes = entry->HeldBytes()};
    std::error_code error;
    const auto size = fs::file_size(entry->path, error);
    if (!entry->kept && (error || static_cast<int64_t>(size) != whole.bytes)) return {};
  }
  const std::optional<Kept> kept = Find(name);
  return kept && kept->digest == whole ? ReceiptOf(*kept) : WeightsReceipt{};
}

std::optional<WeightsStore::Kept> WeightsStore::Find(const std::string& name) {
  const std::shared_ptr<Entry> entry = EntryOf(name);
  const std::lock_guard lock(entry->mutex);
  std::error_code error;
  if (entry->kept || !fs::is_regular_file(entry->path, error)) return entry->kept;
  return entry->kept = Examined(entry->path);
}

void WeightsStore::Adopt(const std::string& name) {
  const std::shared_ptr<Entry> entry = EntryOf(name);
  const std::lock_guard lock(entry->mutex);
  entry->kept = Examined(entry->path);
}

}  // namespace basin::coordinator
