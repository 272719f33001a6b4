#include "trainer/lost_members.h"

#include <array>

#include "base/error.h"
#include "base/files.h"
#include "base/log.h"
#include "trainer/agreement.h"
#include "trainer/checkpoint_files.h"
#include "trainer/checkpoint_state.h"

namespace basin::trainer {
namespace {

/// Puts the newest whole checkpoint of member.id() into it. Returns its step; -1 when there is none.
int64_t Restore(const std::filesystem::path& run_dir, const RunConfig& config, Member& member) {
  for (const CheckpointEntry& entry : ListCheckpoints(run_dir)) {
    if (!entry.complete) continue;
    try {
      const auto path = entry.folder / kManifestName;
      const Manifest manifest = ParseManifest(base::ReadFile(path), path.string());
      if (manifest.config_hash != ConfigHash(config)) throw DataError(Text(entry.folder.string(), " is of another configuration"));
      CheckFiles(entry.folder, manifest, std::array{static_cast<int>(member.id())});
      RestoreNetwork(entry.folder, member);
      return entry.step;
    } catch (const Error& failure) {
      base::LogWarning(Text("lost member ", member.id(), ": ", failure.what()));
    }
  }
  return -1;
}

/// Rank 0's numbers, on every rank.
std::vector<int64_t> FromRankZero(const std::vector<int64_t>& numbers, comm::Communicator& comm) {
  std::string text = base::Json(numbers).dump();
  BroadcastText(comm, text, /*root=*/0);
  return base::Json::parse(text);
}

}  // namespace

std::vector<LostNetwork> LoadLostMembers(const std::filesystem::path& run_dir, const RunConfig& config, const data::Dataset& dataset,
                                         const base::Json& lost, comm::Communicator& comm) {
  std::vector<int64_t> ids;
  for (const base::Json& one : lost) ids.push_back(one.at("member"));
  std::vector<LostNetwork> networks;
  for (const int64_t id : FromRankZero(ids, comm)) {
    Member member(config, dataset, id, torch::kCPU);
    const int64_t read = comm.rank() == 0 ? Restore(run_dir, config, member) : -1;
    const int64_t step = FromRankZero({read}, comm).front();
    if (comm.rank() == 0) {
      base::LogWarning(step < 0 ? Text("lost member ", id, " left no checkpoint and takes no part in the finish")
                                : Text("lost member ", id, " takes part in the finish as its checkpoint of step ", step, " holds it"));
    }
    if (step < 0) continue;
    models::StateDict network = models::CloneState(models::StateOf(member.model()));
    for (auto& [name, tensor] : network) {
      torch::Tensor there = tensor.to(comm.device());
      comm.Broadcast(there, /*root=*/0);
      tensor = there.to(torch::kCPU);
    }
    models::LoadState(member.model(), network);
    networks.push_back({id, step, std::move(network), member.params().values_hash()});
  }
  return networks;
}

}  // namespace basin::trainer
