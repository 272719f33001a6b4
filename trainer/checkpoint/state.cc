#include "trainer/checkpoint/state.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "base/safetensors.h"

namespace basin::trainer {
namespace {

namespace fs = std::filesystem;

base::DType FileType(const models::NamedTensor& item) {
  if (item.tensor.scalar_type() == torch::kFloat32) return base::DType::kF32;
  BASIN_CHECK(item.tensor.scalar_type() == torch::kInt64, item.name, " is ", item.tensor.dtype());
  return base::DType::kI64;
}

/// The bits as they are, NaN included: a diverged member goes on diverging.
void ReadTensors(const base::SafetensorsReader& file, const models::StateDict& live) {
  const torch::NoGradGuard no_grad;
  for (const models::NamedTensor& item : live) {
    const base::TensorView& view = file.Require(item.name);
    if (view.dtype != FileType(item) || view.shape != item.tensor.sizes().vec()) {
      throw DataError(Text(file.path().string(), ": ", item.name, " is ", base::DTypeName(view.dtype), " ", at::IntArrayRef(view.shape),
                           ", this run has ", base::DTypeName(FileType(item)), " ", item.tensor.sizes()));
    }
    const torch::Tensor host = torch::empty(view.shape, item.tensor.options().device(torch::kCPU));
    if (!view.bytes.empty()) std::memcpy(host.mutable_data_ptr(), view.bytes.data(), view.bytes.size());
    torch::Tensor(item.tensor).copy_(host);
  }
}

models::StateDict LiveNetwork(Member& member) {
  models::StateDict live{{"weights", member.params().values().detach()}};
  for (const auto& buffer : member.model().named_buffers()) live.push_back({"buffer." + buffer.key(), buffer.value()});
  return live;
}

constexpr std::string_view kInFlightPrefix = "strategy.in_flight.";

using StrategyTensors = std::vector<std::pair<std::string, torch::Tensor*>>;

void Append(const StrategyTensors& tensors, models::StateDict& live) {
  for (const auto& [name, tensor] : tensors) {
    BASIN_CHECK(tensor->defined(), "the strategy's ", name, " does not exist yet");
    live.push_back({"strategy." + name, *tensor});
  }
}

models::NamedTensor RoomFor(const models::NamedTensor& item) {
  // Touched, so that the first copy is no slower than the others.
  return {item.name, torch::zeros(item.tensor.sizes(), item.tensor.options().device(torch::kCPU)).fill_(0)};
}

/// All but the tensors.
RestoredRank RestoreFacts(const fs::path& path, Member& member, comm::CountingCommunicator& counting) {
  const base::Json facts = base::ReadJson(path);
  try {
    const base::Json& data = facts.at("data");
    member.batches().Seek({.epoch = base::WholeNumber(data.at("epoch")), .batch = base::WholeNumber(data.at("batch"))});
    member.optimizer().RestoreStepsTaken(base::WholeNumber(facts.at("optimizer").at("steps_taken")));
    const base::Json &ledger = facts.at("ledger"), &seconds = facts.at("seconds");
    counting.Restore({.payload_bytes = base::WholeNumber(ledger.at("payload_bytes")),
                      .messages = base::WholeNumber(ledger.at("messages")),
                      .calls = base::WholeNumber(ledger.at("calls")),
                      .exchanges = base::WholeNumber(ledger.at("exchanges")),
                      .seconds = ledger.at("seconds").get<double>()});
    return {.loop = {.step = base::WholeNumber(facts.at("step")),
                     .times = {.train = seconds.at("train").get<double>(), .evaluate = seconds.at("evaluate").get<double>()},
                     .records = base::WholeNumber(facts.at("metrics").at("records"))},
            .elapsed = seconds.at("elapsed").get<double>()};
  } catch (const std::exception& failure) {
    throw DataError(Text(path.string(), " lacks what a checkpoint holds: ", failure.what()));
  }
}

}  // namespace

models::StateDict LiveTensors(Member& member, Strategy& strategy) {
  models::StateDict live = LiveNetwork(member);
  for (size_t k = 0; k < member.optimizer().moments().size(); ++k) {
    live.push_back({Text("moment.", k), member.optimizer().moments()[k]});
  }
  Append(strategy.State(), live);
  return live;
}

models::StateDict CheckpointTensors(Member& member, Strategy& strategy) {
  models::StateDict live = LiveTensors(member, strategy);
  Append(strategy.InFlight(), live);
  return live;
}

void Snapshot::Reserve(const models::StateDict& live) {
  copies_.clear();
  for (const models::NamedTensor& item : live) copies_.push_back(RoomFor(item));
}

void Snapshot::Take(const models::StateDict& live) {
  const torch::NoGradGuard no_grad;
  copies_.resize(live.size());
  for (size_t k = 0; k < live.size(); ++k) {
    const bool fits = copies_[k].tensor.defined() && copies_[k].tensor.sizes() == live[k].tensor.sizes();
    if (!fits || copies_[k].name != live[k].name) copies_[k] = RoomFor(live[k]);
    const torch::Tensor &from = live[k].tensor, to = copies_[k].tensor;
    if (from.is_cpu() && from.is_contiguous()) {
      if (from.numel() > 0) std::memcpy(to.mutable_data_ptr(), from.const_data_ptr(), from.nbytes());
    } else {
      to.copy_(from);
    }
  }
}

void Snapshot::PutBack(models::StateDict& live) const {
  const torch::NoGradGuard no_grad;
  BASIN_CHECK(copies_.size() == live.size(), copies_.size(), " tensors became ", live.size());
  for (size_t k = 0; k < live.size(); ++k) live[k].tensor.copy_(copies_[k].tensor);
}

base::FileDigest Snapshot::Write(const fs::path& path) const { return models::SaveState(path, copies_); }

base::Json RankFacts(const RunConfig& config, Member& member, Strategy& strategy, const comm::Ledger& ledger,
                     const LoopState& loop, double elapsed) {
  const data::Batches::Cursor cursor = member.batches().cursor();
  base::Json tensors = base::Json::array();
  for (const auto& list : {strategy.State(), strategy.InFlight()}) {
    for (const auto& [name, tensor] : list) tensors.push_back(name);
  }
  return {{"format", kCheckpointFormat},
          {"config_hash", ConfigHash(config)},
          {"config", ToYaml(config)},
          {"member", member.id()},
          {"step", loop.step},
          {"data", {{"epoch", cursor.epoch}, {"batch", cursor.batch}}},
          // Every stream is derived from (seed, purpose, step or epoch, member): where it stands is the step.
          {"streams", {{"seed", config.seed}, {"step", loop.step}}},
          {"optimizer", {{"steps_taken", member.optimizer().steps_taken()}}},
          {"strategy", {{"name", StrategyName(config.strategy)}, {"tensors", std::move(tensors)}}},
          {"ledger",
           {{"payload_bytes", ledger.payload_bytes},
            {"messages", ledger.messages},
            {"calls", ledger.calls},
            {"exchanges", ledger.exchanges},
            {"seconds", ledger.seconds}}},
          {"seconds", {{"train", loop.times.train}, {"evaluate", loop.times.evaluate}, {"elapsed", elapsed}}},
          {"metrics", {{"records", loop.records}}}};
}

void RestoreNetwork(const fs::path& folder, Member& member) {
  ReadTensors(base::SafetensorsReader(folder / RankTensorsName(member.id())), LiveNetwork(member));
}

RestoredRank RestoreRank(const fs::path& folder, Member& member, Strategy& strategy, comm::CountingCommunicator& counting,
                         FlightsOfCheckpoint flights) {
  const RestoredRank restored = RestoreFacts(folder / RankFactsName(member.id()), member, counting);
  const base::SafetensorsReader file(folder / RankTensorsName(member.id()));
  const bool drops = flights == FlightsOfCheckpoint::kDrop;
  if (!drops) strategy.Resume(restored.loop.step, counting);
  const models::StateDict live = CheckpointTensors(member, strategy);
  const auto counts = [&](const base::TensorView& view) { return !drops || !view.name.starts_with(kInFlightPrefix); };
  const auto found = std::ranges::count_if(file.tensors(), counts);
  if (found != std::ssize(live)) {
    throw DataError(Text(file.path().string(), " has ", found, " tensors, this run has ", live.size(),
                         ": it was written by another version of Basin"));
  }
  ReadTensors(file, live);
  return restored;
}

}  // namespace basin::trainer
