// The files of checkpoints/: names, manifest, checksums, which are complete, which may go. What is in a rank's files is in
// checkpoint_state.h; docs/checkpoint_format.md describes all of it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/json.h"

namespace basin::trainer {

/// Raised with every change of what the files mean.
inline constexpr int kCheckpointFormat = 1;

inline constexpr const char* kManifestName = "manifest.json";

/// "step-00000500", "rank-000.safetensors", "rank-000.json".
std::string CheckpointName(int64_t step);
std::string RankTensorsName(int64_t member);
std::string RankFactsName(int64_t member);

/// What the manifest says of one file.
struct FileRecord {
  std::string name;
  base::FileDigest digest;
};
/// Of a file as it is now. DataError when it is missing or unreadable.
FileRecord RecordFile(const std::filesystem::path& path);

struct Manifest {
  int64_t step = 0;              ///< steps taken
  int members = 0;               ///< of the population, lost ones included
  std::string config_hash;       ///< ConfigHash
  std::string config;            ///< the YAML that was hashed: ComparableYaml
  std::string layout_hash;       ///< of the flat vectors, hex
  std::string backend, device;   ///< of the run that wrote it, e.g. "mpi", "cpu"
  base::Json lost = base::Json::array();  ///< members that were lost before: [{"member", "step", "reason"}]
  std::vector<FileRecord> files;  ///< of member 0, 1, ..., without the lost ones: tensors, facts

  /// False for a member that was lost before.
  bool Holds(int64_t member) const;
};
base::Json ToJson(const Manifest& manifest);
/// `source` names the file. DataError when it is damaged, ConfigError when it is whole and of another format.
Manifest ParseManifest(const std::string& text, const std::string& source);

/// One file of JSON, complete or not there. The folder must exist (a removed run directory is not made again).
base::FileDigest WriteJsonFile(const std::filesystem::path& path, const base::Json& value);
/// Creates `checkpoints/step-...` in the run directory, which must exist, on disk too. DataError when it cannot be.
std::filesystem::path MakeCheckpointFolder(const std::filesystem::path& run_dir, int64_t step);
/// The last file of a checkpoint: from here on it is complete.
void WriteManifest(const std::filesystem::path& folder, const Manifest& manifest);

/// Size and checksum of these members' files against the manifest, those of lost ones left out. DataError that names the first that
/// differs.
void CheckFiles(const std::filesystem::path& folder, const Manifest& manifest, std::span<const int> members);

struct CheckpointEntry {
  int64_t step = 0;
  std::filesystem::path folder;
  bool complete = false;  ///< has a manifest
};
/// All under `run_dir`/checkpoints, newest first; none when there is no such folder.
std::vector<CheckpointEntry> ListCheckpoints(const std::filesystem::path& run_dir);

/// Of a complete one. As ParseManifest; DataError also when it is missing or of another step than its folder says.
Manifest ReadManifest(const CheckpointEntry& entry);

/// Removes all checkpoints before `newest`, incomplete ones included, but for the newest `keep` complete ones up to `newest` and the
/// newest one of each member (after a loss, the last that holds the lost one may be older).
/// Later ones (of a run that was resumed from an older one) stay until they are overtaken.
void PruneCheckpoints(const std::filesystem::path& run_dir, int64_t newest, int64_t keep);

}  // namespace basin::trainer
