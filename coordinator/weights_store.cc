#include "coordinator/weights_store.h"

#include <algorithm>
#include <charconv>
#include <system_error>
#include <utility>

#include "base/average.h"
#include "base/error.h"
#include "base/safetensors.h"
#include "coordinator/service.h"

namespace basin::coordinator {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kEnding = ".safetensors";

[[noreturn]] void Refuse(const std::string& text) { throw Refused(Refused::Why::kInvalid, text); }

/// The first value that is not finite, in words; empty: there is none.
std::string FlawOf(const base::SafetensorsReader& file) {
  for (const base::TensorView& tensor : file.tensors()) {
    const int64_t at = base::FirstNonFinite(tensor.dtype, tensor.bytes.data(), tensor.num_elements());
    if (at >= 0) return Text("tensor ", tensor.name, " has a value that is not finite (element ", at, ")");
  }
  return {};
}

WeightsReceipt ReceiptOf(const WeightsStore::Kept& kept) {
  return {.held_bytes = kept.digest.bytes, .complete = true, .flaw = kept.flaw};
}

}  // namespace

/// One name: the file that is in place and the one that is being received.
struct WeightsStore::Entry {
  explicit Entry(std::string name) : name(std::move(name)) {}
  const std::string name;
  std::mutex mutex;  // guards what follows; held while files are touched
  std::optional<Kept> kept;
  std::unique_ptr<base::AtomicFile> spool;
  base::FileDigest whole;  // of what goes to the spool
  fs::path path;
  uint64_t ticket = 0;                // of the newest stream
  std::function<void()> on_replaced;  // of that stream, while it lasts

  int64_t HeldBytes() const { return spool == nullptr ? 0 : spool->digest().bytes; }
};

WeightsStore::WeightsStore(fs::path folder, int64_t max_bytes) : folder_(std::move(folder)), max_bytes_(max_bytes) {}

bool IsAverageName(const std::string& name) {
  if (name.size() > kMaxFileNameBytes || !name.ends_with(kEnding) || name.size() == kEnding.size()) return false;
  return name[0] != '.' && std::ranges::all_of(name, [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
                  c == '-';
         });
}

bool IsMemberName(const std::string& name) {
  constexpr std::string_view kFolder = "members/";
  if (!name.starts_with(kFolder)) return false;
  int member = -1;
  std::from_chars(name.data() + kFolder.size(), name.data() + name.size(), member);
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

std::unique_ptr<WeightsStore::Incoming> WeightsStore::Receive(const std::string& name, const base::FileDigest& whole,
                                                              int64_t offset, std::function<void()> on_replaced) {
  const std::shared_ptr<Entry> entry = EntryOf(name);
  if (whole.bytes < 1 || whole.bytes > max_bytes_)
    Refuse(Text(name, " is to have ", whole.bytes, " bytes; allowed: 1 to ", max_bytes_));
  const std::lock_guard lock(entry->mutex);
  if (entry->kept && entry->kept->digest == whole) Refuse(Text(name, " is here already, whole"));
  const bool goes_on = entry->spool != nullptr && entry->whole == whole;
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
    entry->spool = std::make_unique<base::AtomicFile>(entry->path);
    entry->whole = whole;
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

void WeightsStore::Incoming::Append(int64_t offset, uint64_t hash, std::span<const std::byte> bytes) {
  if (bytes.empty() || bytes.size() > kMaxChunkBytes)
    Refuse(Text("a chunk of ", bytes.size(), " bytes; allowed: 1 to ", kMaxChunkBytes));
  if (base::Hash64(bytes) != hash)
    Refuse(Text(entry_->name, ": the chunk at byte ", offset,
                " has another hash than announced; it was damaged on its way"));
  const std::lock_guard lock(entry_->mutex);
  RequireMine();
  const int64_t held = entry_->HeldBytes(), left = entry_->whole.bytes - held;
  if (offset != held)
    Refuse(Text(entry_->name, ": a chunk begins at byte ", offset, "; allowed: ", held, ", where the last ended"));
  if (static_cast<int64_t>(bytes.size()) > left)
    Refuse(
        Text(entry_->name, ": a chunk of ", bytes.size(), " bytes, but only ", left, " of those announced are left"));
  entry_->spool->Write(bytes);
}

WeightsReceipt WeightsStore::Incoming::Finish() {
  const std::lock_guard lock(entry_->mutex);
  RequireMine();
  Entry& entry = *entry_;
  if (entry.HeldBytes() < entry.whole.bytes) return {.held_bytes = entry.HeldBytes()};
  // Whatever is wrong with the whole, its bytes are of no use.
  const std::unique_ptr<base::AtomicFile> spool = std::move(entry.spool);
  if (spool->digest() != entry.whole)
    Refuse(Text(entry.name, " has hash ", base::HexHash(spool->digest().hash),
                "; announced: ", base::HexHash(entry.whole.hash)));
  Kept kept{entry.path, entry.whole, {}};
  try {
    kept.flaw = FlawOf(base::SafetensorsReader(spool->temporary()));
  } catch (const DataError& failure) {
    Refuse(Text(entry.name, " cannot be used: ", failure.what()));
  }
  spool->Commit();
  entry.kept = std::move(kept);
  return ReceiptOf(*entry.kept);
}

WeightsReceipt WeightsStore::Held(const std::string& name, const base::FileDigest& whole) {
  const std::shared_ptr<Entry> entry = EntryOf(name);
  {
    const std::lock_guard lock(entry->mutex);
    if (entry->spool != nullptr && entry->whole == whole) return {.held_bytes = entry->HeldBytes()};
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
  const base::SafetensorsReader reader(entry->path);
  const base::MappedFile file(entry->path);
  entry->kept =
      Kept{entry->path, {static_cast<int64_t>(file.bytes().size()), base::Hash64(file.bytes())}, FlawOf(reader)};
  return entry->kept;
}

void WeightsStore::Adopt(const std::string& name, const base::FileDigest& digest) {
  const std::shared_ptr<Entry> entry = EntryOf(name);
  const std::lock_guard lock(entry->mutex);
  entry->kept = Kept{entry->path, digest, {}};
}

}  // namespace basin::coordinator
