#include "trainer/coordinated_finish.h"

#include <numeric>

#include "base/error.h"
#include "base/log.h"
#include "coordinator/limits.h"
#include "trainer/agreement.h"
#include "trainer/population.h"

namespace basin::trainer {
namespace {

using Seconds = std::chrono::duration<double>;

/// For what moves or averages files. That the others live is known from their heartbeats; this only ends what stands still.
constexpr Seconds kFilesDeadline = std::chrono::hours(1);

/// The first rank's word on why the ranks must do without the coordinator; empty: no rank saw a reason.
std::string FirstReason(const std::string& own, comm::Communicator& comm) {
  const torch::Tensor flags = GatherDoubles({own.empty() ? 0.0 : 1.0}, comm);
  for (int rank = 0; rank < comm.size(); ++rank) {
    if (flags[rank][0].item<double>() == 0) continue;
    std::string reason = own;
    BroadcastText(comm, reason, rank);
    return reason;
  }
  return {};
}

}  // namespace

std::filesystem::path MemberFile(int64_t id) { return coordinator::MemberWeightsName(static_cast<int>(id)); }

void SaveMember(const std::filesystem::path& file, const models::StateDict& network, int64_t id) {
  models::SaveState(file, network, {{"basin.member", std::to_string(id)}});
}

std::unique_ptr<CoordinatedFinish> CoordinatedFinish::Begin(const RankContext& context, Member& member) {
  const bool whole = context.comm.size() == context.config.population.members;
  if (context.control == nullptr || !whole) return nullptr;  // known to all ranks alike
  auto finish = std::unique_ptr<CoordinatedFinish>(new CoordinatedFinish(context));
  const std::string reason = FirstReason(finish->Send(member), context.comm);
  if (reason.empty()) return finish;
  if (context.comm.rank() == 0) base::LogWarning(Text("the ranks finish without the coordinator: ", reason));
  return nullptr;
}

/// Why it did not work; empty: it did.
std::string CoordinatedFinish::Send(Member& member) {
  try {
    const auto file = FileOf(static_cast<int>(member.id()));
    SaveMember(file, models::CloneState(models::StateOf(member.model())), member.id());
    const coordinator::WeightsReceipt receipt = client_.SendWeights(file, kFilesDeadline);
    return receipt.flaw.empty() ? "" : Text("member ", member.id(), ": ", receipt.flaw);
  } catch (const CommError& refusal) {
    context_.control->Check();  // throws where the run is over, so that what is left is a refusal
    return refusal.what();
  }
}

std::vector<models::StateDict> CoordinatedFinish::FetchNetworks() {
  std::vector<models::StateDict> networks;
  for (int member = 0; member < context_.config.population.members; ++member) {
    const auto file = FileOf(member);
    if (!std::filesystem::exists(file)) client_.FetchWeights(coordinator::MemberWeightsName(member), file, kFilesDeadline);
    networks.push_back(models::ReadState(file));
  }
  return networks;
}

models::StateDict CoordinatedFinish::Average(const std::filesystem::path& run_dir, const std::string& name) {
  coordinator::AverageJob job{.members = std::vector<int>(context_.config.population.members), .name = name};
  std::iota(job.members.begin(), job.members.end(), 0);
  client_.Average(job, kFilesDeadline);
  if (!publishes()) client_.FetchWeights(name, run_dir / name, kFilesDeadline);
  return models::ReadState(run_dir / name);
}

TaskShare CoordinatedFinish::Share() {
  return [this](int64_t count, int64_t values, const Task& task) {
    if (count > coordinator::kMaxTasks) return ByRank(context_.comm)(count, values, task);
    coordinator::TaskList list;
    for (int64_t t = 0; t < count; ++t) list.works.push_back(Text("lmc ", t));
    // A healthy member needs one evaluation's time. Whoever is given the same task too late does it for nothing, and no worse.
    list.deadline_s = 10 * Seconds(context_.config.comm.timeout).count();
    const auto evaluate = [&](const coordinator::Task& given) { return task(given.id); };
    return client_.WorkOn(list, evaluate, Seconds(list.deadline_s * static_cast<double>(count)));
  };
}

}  // namespace basin::trainer
