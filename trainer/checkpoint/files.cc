#include "trainer/checkpoint/files.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <set>
#include <string_view>

#include "base/error.h"
#include "base/files.h"
#include "base/log.h"

namespace basin::trainer {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kStepPrefix = "step-";

std::string Padded(int64_t value, int digits) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%0*lld", digits, static_cast<long long>(value));
  return text.data();
}

uint64_t HashText(const std::string& text) { return base::Hash64(std::as_bytes(std::span(text))); }

/// The checksum that the manifest carries of itself: of its text without that entry.
std::string SelfHash(const base::Json& manifest) {
  base::Json rest = manifest;
  rest.erase("xxh64");
  return base::HexHash(HashText(rest.dump()));
}

uint64_t ParseHash(const std::string& hex) {
  uint64_t value = 0;
  const auto [end, failure] = std::from_chars(hex.data(), hex.data() + hex.size(), value, 16);
  if (failure != std::errc() || end != hex.data() + hex.size() || hex.size() != 16) throw DataError("'" + hex + "' is not a checksum");
  return value;
}

const FileRecord* Find(const Manifest& manifest, const std::string& name) {
  const auto found = std::ranges::find(manifest.files, name, &FileRecord::name);
  return found == manifest.files.end() ? nullptr : &*found;
}

Manifest FromJson(const base::Json& json) {
  constexpr int64_t kManyMembers = 1 << 20;  // a damaged number must not make the check below long
  const int64_t members = base::WholeNumber(json.at("members"));
  if (members < 1 || members > kManyMembers) throw DataError(Text("it names ", members, " members"));
  Manifest manifest{.step = base::WholeNumber(json.at("step")),
                    .members = static_cast<int>(members),
                    .config_hash = json.at("config_hash").get<std::string>(),
                    .config = json.at("config").get<std::string>(),
                    .layout_hash = json.at("layout_hash").get<std::string>(),
                    .backend = json.at("backend").get<std::string>(),
                    .device = json.at("device").get<std::string>()};
  for (const base::Json& file : json.at("files")) {
    manifest.files.push_back({.name = file.at("name").get<std::string>(),
                              .digest = {.bytes = base::WholeNumber(file.at("bytes")),
                                         .hash = ParseHash(file.at("xxh64").get<std::string>())}});
  }
  for (const base::Json& one : json.value("lost", base::Json::array())) {
    manifest.lost.push_back({{"member", base::WholeNumber(one.at("member"))},
                             {"step", base::WholeNumber(one.at("step"))},
                             {"reason", one.at("reason").get<std::string>()}});
  }
  for (int member = 0; member < manifest.members; ++member) {
    if (manifest.Holds(member) && (Find(manifest, RankTensorsName(member)) == nullptr || Find(manifest, RankFactsName(member)) == nullptr)) {
      throw DataError(Text("the files of rank ", member, " are not listed"));
    }
  }
  return manifest;
}

void MakeFolder(const fs::path& folder) {
  std::error_code failure;
  fs::create_directory(folder, failure);  // not its parents: those must be there
  if (failure) throw DataError(Text("cannot create the folder ", folder.string(), ": ", failure.message()));
  base::SyncFolder(folder.parent_path());
}

/// True when one of the members that the checkpoint holds is new to `held`. One that cannot be read holds nobody.
bool AddMembers(const CheckpointEntry& entry, std::set<int64_t>& held) {
  bool is_new = false;
  try {
    const Manifest manifest = ReadManifest(entry);
    for (int member = 0; member < manifest.members; ++member) {
      if (manifest.Holds(member)) is_new = held.insert(member).second || is_new;
    }
  } catch (const Error& failure) {
    base::LogDebug(failure.what());
  }
  return is_new;
}

/// Without its manifest it is no checkpoint any more, so a removal that is cut short does no harm.
void RemoveCheckpoint(const fs::path& folder) {
  std::error_code failure;
  fs::remove(folder / kManifestName, failure);
  if (!failure) fs::remove_all(folder, failure);
  if (failure) base::LogWarning(Text(folder.string(), ": an old checkpoint cannot be removed: ", failure.message()));
}

}  // namespace

std::string CheckpointName(int64_t step) { return std::string(kStepPrefix) + Padded(step, 8); }
std::string RankTensorsName(int64_t member) { return "rank-" + Padded(member, 3) + ".safetensors"; }
std::string RankFactsName(int64_t member) { return "rank-" + Padded(member, 3) + ".json"; }

bool Manifest::Holds(int64_t member) const {
  return std::ranges::none_of(lost, [&](const base::Json& one) { return one.at("member") == member; });
}

FileRecord RecordFile(const fs::path& path) {
  const base::MappedFile file(path);
  return {.name = path.filename().string(),
          .digest = {.bytes = static_cast<int64_t>(file.bytes().size()), .hash = base::Hash64(file.bytes())}};
}

base::Json ToJson(const Manifest& manifest) {
  base::Json files = base::Json::array();
  for (const FileRecord& file : manifest.files) {
    files.push_back({{"name", file.name}, {"bytes", file.digest.bytes}, {"xxh64", base::HexHash(file.digest.hash)}});
  }
  base::Json json{{"format", kCheckpointFormat},     {"step", manifest.step},
                  {"members", manifest.members},     {"config_hash", manifest.config_hash},
                  {"config", manifest.config},       {"layout_hash", manifest.layout_hash},
                  {"backend", manifest.backend},     {"device", manifest.device},
                  {"files", std::move(files)}};
  if (!manifest.lost.empty()) json["lost"] = manifest.lost;
  json["xxh64"] = SelfHash(json);
  return json;
}

Manifest ParseManifest(const std::string& text, const std::string& source) {
  try {
    const base::Json json = base::Json::parse(text);
    if (json.at("xxh64").get<std::string>() != SelfHash(json)) throw DataError("its checksum does not fit its content");
    const int64_t format = base::WholeNumber(json.at("format"));
    if (format != kCheckpointFormat) {
      throw ConfigError(Text(source, " is of checkpoint format ", format, ", this version reads format ", kCheckpointFormat,
                             "; go on with the version of Basin that wrote it"));
    }
    return FromJson(json);
  } catch (const ConfigError&) {
    throw;
  } catch (const std::exception& failure) {
    throw DataError(Text(source, " is damaged: ", failure.what()));
  }
}

Manifest ReadManifest(const CheckpointEntry& entry) {
  const fs::path path = entry.folder / kManifestName;
  Manifest manifest = ParseManifest(base::ReadFile(path), path.string());
  if (manifest.step != entry.step) throw DataError(Text(path.string(), " is of step ", manifest.step));
  return manifest;
}

base::FileDigest WriteJsonFile(const fs::path& path, const base::Json& value) {
  base::AtomicFile file(path);
  file.Write(value.dump(2, ' ', /*ensure_ascii=*/false, base::Json::error_handler_t::replace) + "\n");
  file.Commit();
  return file.digest();
}

fs::path MakeCheckpointFolder(const fs::path& run_dir, int64_t step) {
  const fs::path root = run_dir / "checkpoints", folder = root / CheckpointName(step);
  MakeFolder(root);
  MakeFolder(folder);
  return folder;
}

void WriteManifest(const fs::path& folder, const Manifest& manifest) { WriteJsonFile(folder / kManifestName, ToJson(manifest)); }

void CheckFiles(const fs::path& folder, const Manifest& manifest, std::span<const int> members) {
  for (const int member : members) {
    if (!manifest.Holds(member)) continue;
    for (const std::string& name : {RankTensorsName(member), RankFactsName(member)}) {
      const FileRecord* expected = Find(manifest, name);
      BASIN_CHECK(expected != nullptr, name, " was listed when the manifest was read");
      const fs::path path = folder / name;
      const base::FileDigest found = RecordFile(path).digest, said = expected->digest;
      if (found.bytes != said.bytes) {
        throw DataError(Text(path.string(), " is damaged: it has ", found.bytes, " bytes, its manifest says ", said.bytes));
      }
      if (found.hash != said.hash) {
        throw DataError(Text(path.string(), " is damaged: its checksum is ", base::HexHash(found.hash), ", its manifest says ",
                             base::HexHash(said.hash)));
      }
    }
  }
}

std::vector<CheckpointEntry> ListCheckpoints(const fs::path& run_dir) {
  std::vector<CheckpointEntry> entries;
  std::error_code failure;
  for (fs::directory_iterator it(run_dir / "checkpoints", failure), end; !failure && it != end; it.increment(failure)) {
    const std::string name = it->path().filename().string();
    if (!name.starts_with(kStepPrefix)) continue;
    int64_t step = 0;
    const char *first = name.data() + kStepPrefix.size(), *last = name.data() + name.size();
    const auto [rest, error] = std::from_chars(first, last, step);
    if (error != std::errc() || rest != last || step < 0) continue;
    entries.push_back({.step = step, .folder = it->path(), .complete = fs::exists(it->path() / kManifestName)});
  }
  std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) { return a.step > b.step; });
  return entries;
}

void PruneCheckpoints(const fs::path& run_dir, int64_t newest, int64_t keep) {
  int64_t kept = 0;
  std::set<int64_t> held;  // members of which a newer checkpoint was seen
  for (const CheckpointEntry& entry : ListCheckpoints(run_dir)) {
    if (entry.step > newest) continue;
    const bool is_newest_of_one = entry.complete && AddMembers(entry, held);
    if (entry.complete && (kept < keep || is_newest_of_one)) {
      ++kept;
    } else if (entry.step < newest) {
      RemoveCheckpoint(entry.folder);
    }
  }
}

}  // namespace basin::trainer
