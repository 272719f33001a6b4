#include "trainer/checkpoint/checkpoint.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "trainer/agreement.h"

namespace basin::trainer {
namespace {

constexpr double kBeatSeconds = 0.25;
constexpr int64_t kMostStepsBetweenBeats = 1024;  // however fast the steps were that were measured

}  // namespace

Checkpointer::Checkpointer(const RankContext& context, Member& member, Strategy& strategy,
                           const comm::CountingCommunicator& counting, CheckpointPlan plan, bool& all_know)
    : context_(context),
      member_(member),
      strategy_(strategy),
      counting_(counting),
      plan_(std::move(plan)),
      all_know_(all_know),
      next_beat_(plan_.first_step + 1),
      last_beat_(plan_.first_step),
      last_beat_time_(context.clock.Seconds()) {
  if (context.config.checkpoint.every_steps > 0) snapshot_.Reserve(CheckpointTensors(member, strategy));
}

void Checkpointer::AfterStep(const LoopState& at, MetricsWriter& metrics) {
  const int64_t every = context_.config.checkpoint.every_steps;
  const bool last = at.step == plan_.total_steps;
  const bool due = every > 0 && (at.step % every == 0 || last);
  if (due || last || at.step == next_beat_) Beat(at.step);
  const bool takes = due || stop_;
  if (takes) Take(at, metrics);
  if (last || stop_) Drain(at.step);
  if (!stop_) return;
  if (!takes) {  // the signal came while the last files were written
    Take(at, metrics);
    Drain(at.step);
  }
  Stop(at.step);
}

void Checkpointer::Beat(int64_t step) {
  const double now = context_.clock.Seconds();
  const int64_t steps = std::max<int64_t>(1, step - last_beat_);
  const bool idle = writer_.Idle();  // before the failure: what an idle writer says is final
  const std::exception_ptr failure = FindFailure();
  std::array<int64_t, kColumns> row{};
  row[kStop] = plan_.interrupted;
  row[kFailed] = failure != nullptr;
  row[kIdle] = idle;
  row[kStepNanoseconds] = static_cast<int64_t>(1e9 * (now - last_beat_time_) / static_cast<double>(steps));
  row[kMember] = member_.id();
  if (idle && pending_ >= 0) {
    row[kTensorBytes] = written_[0].bytes;
    row[kTensorHash] = static_cast<int64_t>(written_[0].hash);
    row[kFactBytes] = written_[1].bytes;
    row[kFactHash] = static_cast<int64_t>(written_[1].hash);
  }
  const torch::Tensor own = torch::tensor(at::ArrayRef<int64_t>(row), torch::kInt64).to(context_.comm.device());
  const torch::Tensor rows = context_.comm.AllGather(own).to(torch::kCPU);
  const torch::Tensor most = std::get<0>(rows.max(0)), least = std::get<0>(rows.min(0));
  if (most[kFailed].item<int64_t>() != 0) ThrowTogether(failure);
  stop_ = stop_ || most[kStop].item<int64_t>() != 0;
  all_idle_ = least[kIdle].item<int64_t>() != 0;
  if (pending_ >= 0 && all_idle_) {
    Complete(rows);
    all_idle_ = false;  // rank 0 has the manifest to write now
  }
  ScheduleNextBeat(step, most[kStepNanoseconds].item<int64_t>());
}

std::exception_ptr Checkpointer::FindFailure() const {
  if (writer_.failure()) return writer_.failure();
  try {
    if (plan_.check_directory) plan_.check_directory();
  } catch (const std::exception&) {
    return std::current_exception();
  }
  return nullptr;
}

void Checkpointer::ThrowTogether(std::exception_ptr own) {
  all_know_ = true;
  OnAllRanks(context_.comm, [&] {
    if (own) std::rethrow_exception(own);
  });
  throw CheckFailed("a rank reported a failed write and then knew of none");
}

void Checkpointer::ScheduleNextBeat(int64_t step, int64_t slowest_nanoseconds) {
  if (step == last_beat_) {  // beats of one step, while files are written: their time says nothing about steps
    next_beat_ = step + 1;
  } else {
    const double steps = 1e9 * kBeatSeconds / static_cast<double>(std::max<int64_t>(1, slowest_nanoseconds));
    next_beat_ = step + std::clamp<int64_t>(static_cast<int64_t>(steps), 1, kMostStepsBetweenBeats);
  }
  last_beat_ = step;
  last_beat_time_ = context_.clock.Seconds();
}

void Checkpointer::Take(const LoopState& at, MetricsWriter& metrics) {
  Drain(at.step);  // a manifest comes before any file of the next checkpoint: one at most is incomplete
  metrics.Flush();
  snapshot_.Take(CheckpointTensors(member_, strategy_));
  const double elapsed = context_.clock.Seconds() - plan_.started;
  base::Json facts = RankFacts(context_.config, member_, strategy_, counting_.ledger(), at, elapsed);
  pending_ = at.step;
  all_idle_ = false;
  writer_.Post([this, facts = std::move(facts)] { WriteRankFiles(facts); });
}

void Checkpointer::WriteRankFiles(const base::Json& facts) {
  std::filesystem::path tensors, description;
  try {
    const std::filesystem::path folder = MakeCheckpointFolder(plan_.run_dir, facts.at("step").get<int64_t>());
    tensors = folder / RankTensorsName(member_.id());
    description = folder / RankFactsName(member_.id());
    if (context_.comm.rank() == 0) std::filesystem::remove(folder / kManifestName);  // of a run that was resumed from an older checkpoint
    if (context_.metrics != nullptr) context_.metrics->Sync();
    const base::FileDigest weights = snapshot_.Write(tensors);
    if (context_.faults != nullptr) {
      context_.faults->Spoil(tensors, facts.at("step").get<int64_t>());
      context_.faults->Strike("checkpoint", facts.at("step").get<int64_t>());
    }
    written_ = {weights, WriteJsonFile(description, facts)};
  } catch (const std::exception& failure) {
    std::error_code ignored;  // room for others on a full disk; the earlier checkpoints are whole
    if (!tensors.empty()) std::filesystem::remove(tensors, ignored);
    if (!description.empty()) std::filesystem::remove(description, ignored);
    throw DataError(Text("the checkpoint of step ", facts.at("step").get<int64_t>(), " was not written: ", failure.what(),
                         "; earlier checkpoints are as they were: mend this, then go on with --resume"));
  }
}

void Checkpointer::Complete(const torch::Tensor& rows) {
  const int64_t step = std::exchange(pending_, -1);
  if (context_.comm.rank() != 0) return;
  Manifest manifest{.step = step,
                    .members = context_.config.population.members,
                    .config_hash = ConfigHash(context_.config),
                    .config = ComparableYaml(context_.config),
                    .layout_hash = base::HexHash(member_.params().layout_hash()),
                    .backend = std::string(context_.comm.name()),
                    .device = context_.comm.device().is_cpu() ? "cpu" : "cuda",
                    .lost = plan_.lost};
  for (int64_t rank = 0; rank < rows.size(0); ++rank) {
    const auto at = [&](Column column) { return rows[rank][column].item<int64_t>(); };
    manifest.files.push_back({RankTensorsName(at(kMember)), {at(kTensorBytes), static_cast<uint64_t>(at(kTensorHash))}});
    manifest.files.push_back({RankFactsName(at(kMember)), {at(kFactBytes), static_cast<uint64_t>(at(kFactHash))}});
  }
  writer_.Post([run_dir = plan_.run_dir, manifest = std::move(manifest), keep = context_.config.checkpoint.keep] {
    WriteManifest(run_dir / "checkpoints" / CheckpointName(manifest.step), manifest);
    PruneCheckpoints(run_dir, manifest.step, keep);
    base::LogDebug(Text("the checkpoint of step ", manifest.step, " is complete"));
  });
}

void Checkpointer::BeatWhenIdle(int64_t step) {
  // Not as long as the disk takes: peers that have written wait in the beat, with the deadline of an exchange.
  constexpr std::chrono::milliseconds kPatience(500);
  writer_.WaitFor(std::min(kPatience, context_.comm.timeout() / 4));
  Beat(step);
}

void Checkpointer::Drain(int64_t step) {
  context_.Tell(coordinator::Phase::kCheckpoint, step, "checkpoint");
  while (!all_idle_) BeatWhenIdle(step);
}

void Checkpointer::Stop(int64_t step) {
  all_know_ = true;
  throw Interrupted(Text("interrupted after step ", step, " of ", plan_.total_steps, "; ",
                         (plan_.run_dir / "checkpoints" / CheckpointName(step)).string(),
                         " was written, no result; go on with --resume"));
}

}  // namespace basin::trainer
