// The finish of a run that has a coordinator: it gathers the members' weights, averages them, and shares out the measurements.
#pragma once

#include <filesystem>
#include <memory>
#include <vector>

#include "base/files.h"
#include "trainer/lmc.h"
#include "trainer/loop.h"

namespace basin::trainer {

class CoordinatedFinish {
 public:
  /// Streams every rank's network to the coordinator. Null, on all ranks alike, where the ranks must do it among themselves: there is
  /// no coordinator, it keeps no files, members were lost before, or a network has values that are not finite (then a line in the
  /// log says why). Collective.
  static std::unique_ptr<CoordinatedFinish> Begin(const RankContext& context, Member& member);

  /// Of all members, in the order of their numbers: the bits that were sent.
  std::vector<models::StateDict> FetchNetworks();
  /// Whether the coordinator keeps its files in the run directory: the members' are there then, and so will the average be.
  bool publishes() const { return context_.control->is_embedded(); }
  /// The uniform average, made by the coordinator; also left as `run_dir`/`name`. DataError: it overflows. For one rank.
  models::StateDict Average(const std::filesystem::path& run_dir, const std::string& name);
  /// Whoever is idle takes the next task; the task of a member that is lost goes to another. CommError once the run is over for this
  /// rank.
  TaskShare Share();

 private:
  explicit CoordinatedFinish(const RankContext& context) : context_(context), client_(context.control->client()) {}
  std::string Send(Member& member);
  std::filesystem::path FileOf(int member) const { return folder_.path() / std::to_string(member); }

  const RankContext& context_;
  coordinator::Client& client_;
  base::TemporaryFolder folder_;
};

/// "members/002.safetensors" in a run directory.
std::filesystem::path MemberFile(int64_t id);
void SaveMember(const std::filesystem::path& file, const models::StateDict& network, int64_t id);

}  // namespace basin::trainer
