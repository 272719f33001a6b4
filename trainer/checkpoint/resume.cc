#include "trainer/checkpoint/resume.h"

#include <fstream>
#include <map>

#include "base/error.h"
#include "base/files.h"
#include "base/log.h"
#include "trainer/agreement.h"
#include "trainer/config/difference.h"

namespace basin::trainer {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void RefuseConfiguration(const std::string& source, const std::string& saved, const std::string& own) {
  std::string text = Text("--resume: ", source, " is of another configuration");
  for (const std::string& line : DescribeDifferences(saved, own)) text += "\n  " + line;
  throw ConfigError(text + "\ngive the same values again, or start a new run in another --run-dir");
}

void CheckSameRun(const Manifest& manifest, const std::string& source, const RunConfig& config) {
  if (manifest.members != config.population.members) {
    throw ConfigError(Text("--resume: ", source, " is of ", manifest.members, " members, this run has ", config.population.members,
                           "; a run keeps its members: set population.members=", manifest.members));
  }
  if (manifest.config_hash != ConfigHash(config)) RefuseConfiguration(source, manifest.config, ComparableYaml(config));
}

/// A run that was killed before its first checkpoint was complete has lost nothing that a new start does not give. One that was to write
/// none has lost all, which only `may_begin` makes light of.
bool StoppedBeforeFirstCheckpoint(const fs::path& run_dir, const RunConfig& config, const std::vector<CheckpointEntry>& entries, bool may_begin) {
  const int64_t every = config.checkpoint.every_steps;
  const fs::path saved = run_dir / "config.yaml";
  if ((every == 0 && !may_begin) || !fs::exists(saved)) return false;
  for (const CheckpointEntry& entry : entries) {
    if (entry.complete || entry.step > every) return false;
  }
  const RunConfig before = ReadRunConfig(saved);
  if (ConfigHash(before) != ConfigHash(config)) RefuseConfiguration(saved.string(), ComparableYaml(before), ComparableYaml(config));
  return true;
}

/// Rank 0's view: walks from the newest checkpoint to the oldest.
class Candidates {
 public:
  Candidates(const fs::path& run_dir, const RunConfig& config, bool may_begin) : run_dir_(run_dir), config_(config), may_begin_(may_begin) {}

  /// False: to be started from the beginning.
  bool Open() {
    entries_ = ListCheckpoints(run_dir_);
    if (StoppedBeforeFirstCheckpoint(run_dir_, config_, entries_, may_begin_)) return false;
    if (entries_.empty()) {
      throw ConfigError(Text("--resume: ", run_dir_.string(), " holds no checkpoint to go on from; start it without --resume"));
    }
    return true;
  }

  /// The text of the next manifest that can be used.
  std::string Next() {
    for (; next_ < entries_.size(); ++next_) {
      const CheckpointEntry& entry = entries_[next_];
      if (!entry.complete) {
        base::LogWarning(Text(entry.folder.string(), " is incomplete (it has no ", kManifestName, "): passed over"));
        continue;
      }
      try {
        const Manifest manifest = ReadManifest(entry);
        CheckSameRun(manifest, entry.folder.string(), config_);
        ++next_;
        return ToJson(manifest).dump();
      } catch (const DataError& failure) {
        base::LogWarning(Text(failure.what(), ": passed over"));
      }
    }
    throw DataError(Text("--resume: none of the ", entries_.size(), " checkpoints in ", (run_dir_ / "checkpoints").string(),
                         " can be used, see the warnings above; start the run anew without --resume"));
  }

 private:
  const fs::path& run_dir_;
  const RunConfig& config_;
  const bool may_begin_;
  std::vector<CheckpointEntry> entries_;
  size_t next_ = 0;
};

bool AreWholeEverywhere(const fs::path& folder, const Manifest& manifest, std::span<const int> ranks_here, comm::Communicator& comm) {
  int64_t whole = 1;
  try {
    CheckFiles(folder, manifest, ranks_here);
  } catch (const DataError& failure) {
    base::LogWarning(Text(failure.what(), ": this checkpoint is passed over"));
    whole = 0;
  }
  const torch::Tensor own = torch::tensor(at::ArrayRef<int64_t>({whole}), torch::kInt64).to(comm.device());
  return comm.AllGather(own).min().item<int64_t>() == 1;
}

}  // namespace

std::optional<ResumePoint> FindResumePoint(const fs::path& run_dir, const RunConfig& config, std::span<const int> ranks_here,
                                           comm::Communicator& comm, bool may_begin) {
  Candidates candidates(run_dir, config, may_begin);
  const auto on_first = [&](const std::function<std::string()>& choose) {
    std::string text;
    OnAllRanks(comm, [&] {
      if (comm.rank() == 0) text = choose();
    });
    BroadcastText(comm, text, /*root=*/0);
    return text;
  };
  if (on_first([&] { return candidates.Open() ? "resume" : "start"; }) == "start") return std::nullopt;
  while (true) {
    const std::string text = on_first([&] { return candidates.Next(); });
    ResumePoint point{.manifest = ParseManifest(text, kManifestName)};
    point.folder = run_dir / "checkpoints" / CheckpointName(point.manifest.step);
    if (AreWholeEverywhere(point.folder, point.manifest, ranks_here, comm)) return point;
  }
}

RestoredRank GoOn(const ResumePoint& point, Member& member, Strategy& strategy, comm::CountingCommunicator& counting) {
  const std::string own = base::HexHash(member.params().layout_hash());
  if (point.manifest.layout_hash != own) {
    throw ConfigError(Text("--resume: ", point.folder.string(), " is of another layout of the weights (", point.manifest.layout_hash,
                           ", this program lays them out as ", own, "); go on with the version of Basin that wrote it"));
  }
  const std::string device = counting.device().is_cpu() ? "cpu" : "cuda";
  if (device != point.manifest.device || (point.manifest.backend == "nccl") != (counting.name() == "nccl")) {
    base::LogWarning(Text("the checkpoint was written on ", point.manifest.device, " with ", point.manifest.backend, ", this is ",
                          device, " with ", counting.name(), ": the run goes on, but not to the same bits"));
  }
  const bool is_whole = point.manifest.lost.empty();
  return RestoreRank(point.folder, member, strategy, counting, is_whole ? FlightsOfCheckpoint::kRestore : FlightsOfCheckpoint::kDrop);
}

void SetDamagedAside(const fs::path& run_dir, int64_t step) {
  for (const CheckpointEntry& entry : ListCheckpoints(run_dir)) {
    if (entry.step > step && entry.complete) fs::rename(entry.folder / kManifestName, entry.folder / "manifest.damaged.json");
  }
}

void TrimMetrics(const fs::path& metrics, const ResumePoint& point) {
  std::map<int64_t, int64_t> left;  // member -> records that are still to come
  for (int member = 0; member < point.manifest.members; ++member) {
    if (point.manifest.Holds(member)) left[member] = base::WholeNumber(base::ReadJson(point.folder / RankFactsName(member)).at("metrics").at("records"));
  }
  std::ifstream old(metrics);
  base::AtomicFile trimmed(metrics);
  for (std::string line; std::getline(old, line);) {
    const base::Json record = base::Json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (!record.is_object() || !record.contains("member") || !record["member"].is_number_integer()) continue;
    const int64_t member = record["member"].get<int64_t>();
    if (member < 0 || member >= point.manifest.members) continue;
    // A member that was lost before the checkpoint takes no step again.
    if (point.manifest.Holds(member) && left.at(member)-- <= 0) continue;
    trimmed.Write(line + '\n');
  }
  trimmed.Commit();
  for (const auto& [member, missing] : left) {
    if (missing > 0) {
      base::LogWarning(Text(metrics.string(), ": ", missing, " records of member ", member,
                            " from before the checkpoint are missing; the weights are not concerned"));
    }
  }
}

}  // namespace basin::trainer
