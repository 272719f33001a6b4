#include "trainer/checkpoint/lost_members.h"

#include <array>

#include "base/error.h"
#include "base/files.h"
#include "base/log.h"
#include "trainer/agreement.h"
#include "trainer/checkpoint/files.h"
#include "trainer/checkpoint/state.h"

namespace basin::trainer {
namespace {

/// Whether the coordinator has the member's final weights, which are put into it then.
bool Fetch(coordinator::Client& client, Member& member) {
  const base::TemporaryFolder folder;
  try {
    // Short: what the coordinator does not have by now never comes.
    client.FetchWeights(coordinator::MemberWeightsName(static_cast<int>(member.id())), folder.path() / "member", std::chrono::seconds(1));
    models::LoadState(member.model(), models::ReadState(folder.path() / "member"));
    return true;
  } catch (const Error& failure) {
    base::LogDebug(failure.what());
    return false;
  }
}

/// Puts the newest whole checkpoint of member.id() into it. Returns its step; none when there is none.
std::optional<int64_t> Restore(const std::filesystem::path& run_dir, const RunConfig& config, Member& member) {
  for (const CheckpointEntry& entry : ListCheckpoints(run_dir)) {
    if (!entry.complete) continue;
    try {
      const Manifest manifest = ReadManifest(entry);
      if (manifest.config_hash != ConfigHash(config)) throw DataError(Text(entry.folder.string(), " is of another configuration"));
      if (!manifest.Holds(member.id())) continue;  // it was lost by then
      CheckFiles(entry.folder, manifest, std::array{static_cast<int>(member.id())});
      RestoreNetwork(entry.folder, member);
      return entry.step;
    } catch (const Error& failure) {
      base::LogWarning(Text("lost member ", member.id(), ": ", failure.what()));
    }
  }
  return std::nullopt;
}

/// What rank 0 found of one member.
struct Found {
  bool any = false;
  std::optional<int64_t> checkpoint_step;
};

Found Read(const RankContext& context, const std::filesystem::path& run_dir, Member& member) {
  const std::string who = Text("lost member ", member.id());
  if (context.control != nullptr && Fetch(context.control->client(), member)) {
    base::LogWarning(Text(who, " had handed in its weights, so it takes part in the finish"));
    return {.any = true};
  }
  const auto step = Restore(run_dir, context.config, member);
  base::LogWarning(step ? Text(who, " takes part in the finish as its checkpoint of step ", *step, " holds it")
                        : Text(who, " left no checkpoint and takes no part in the finish"));
  return {step.has_value(), step};
}

/// Rank 0's numbers, on every rank.
std::vector<int64_t> FromRankZero(const std::vector<int64_t>& numbers, comm::Communicator& comm) {
  std::string text = base::Json(numbers).dump();
  BroadcastText(comm, text, /*root=*/0);
  return base::Json::parse(text);
}

}  // namespace

std::vector<LostNetwork> LoadLostMembers(const RankContext& context, const std::filesystem::path& run_dir, const base::Json& lost) {
  comm::Communicator& comm = context.comm;
  std::vector<int64_t> ids;
  for (const base::Json& one : lost) ids.push_back(one.at("member"));
  std::vector<LostNetwork> networks;
  for (const int64_t id : FromRankZero(ids, comm)) {
    Member member(context.config, context.dataset, id, torch::kCPU);
    const Found own = comm.rank() == 0 ? Read(context, run_dir, member) : Found{};
    const auto found = FromRankZero({own.any, own.checkpoint_step.value_or(-1)}, comm);
    if (found[0] == 0) continue;
    LostNetwork one{.id = id, .network = models::CloneState(models::StateOf(member.model()))};
    if (found[1] >= 0) one.checkpoint_step = found[1];
    for (auto& [name, tensor] : one.network) {
      torch::Tensor there = tensor.to(comm.device());
      comm.Broadcast(there, /*root=*/0);
      tensor = there.to(torch::kCPU);
    }
    models::LoadState(member.model(), one.network);
    one.weights_hash = member.params().values_hash();
    networks.push_back(std::move(one));
  }
  return networks;
}

}  // namespace basin::trainer
