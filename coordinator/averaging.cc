#include "coordinator/averaging.h"

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "base/average_files.h"
#include "base/error.h"
#include "coordinator/limits.h"
#include "coordinator/service.h"

namespace basin::coordinator {
namespace {

using Stage = AverageProgress::State;

[[noreturn]] void Refuse(const std::string& text) { throw Refused(Refused::Why::kInvalid, text); }

base::AverageOptions OptionsOf(const AverageJob& job) {
  switch (job.method) {
    case AverageJob::Method::kUniform: return {};
    case AverageJob::Method::kWeighted: return {.weights = job.weights};
    case AverageJob::Method::kMedian: return {.method = base::AverageMethod::kMedian};
    case AverageJob::Method::kTrimmed: return {.method = base::AverageMethod::kTrimmedMean, .trim = job.trim};
  }
  throw CheckFailed("a method of averaging without a meaning");
}

void RequireValid(const AverageJob& job) {
  if (!IsAverageName(job.name))
    Refuse(Text("'", job.name.substr(0, kMaxFileNameBytes),
                "' is no name for an average; allowed: letters, digits, '.', '_' and '-', ",
                "ending in .safetensors, at most ", kMaxFileNameBytes, " bytes"));
  if (job.members.size() > static_cast<size_t>(kMaxMembers))
    Refuse(Text("an average of ", job.members.size(), " members; allowed: 1 to ", kMaxMembers));
  for (const int member : job.members) {
    if (member < 0 || member >= kMaxMembers) Refuse(Text("a member is ", member, "; allowed: 0 to ", kMaxMembers - 1));
  }
  if (std::set(job.members.begin(), job.members.end()).size() != job.members.size())
    Refuse("a member is named twice; weights are the way to count one more");
  const bool weighted = job.method == AverageJob::Method::kWeighted;
  if (weighted != !job.weights.empty())
    Refuse(weighted ? "the method is weighted, but no weights are given"
                    : "weights are given, but the method is not weighted");
  try {
    base::CheckAverageOptions(OptionsOf(job), static_cast<int64_t>(job.members.size()));
  } catch (const ConfigError& failure) {
    Refuse(failure.what());
  }
}

}  // namespace

Averaging::Averaging(WeightsStore& store, std::function<void(const std::string&)> note)
    : store_(store), note_(std::move(note)), worker_([this] { Work(); }) {}

Averaging::~Averaging() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  worker_.join();
}

AverageProgress Averaging::Ask(const AverageJob& job, const std::function<bool(int)>& may_come) {
  RequireValid(job);
  const std::lock_guard lock(mutex_);
  auto found = orders_.find(job.name);
  if (found != orders_.end() && found->second.job != job) {
    if (found->second.progress.state != Stage::kFailed)
      Refuse(Text(job.name, " is asked for already, with other members or another method"));
    orders_.erase(found);
    found = orders_.end();
  }
  if (found == orders_.end()) {
    if (orders_.size() >= kMaxAverages)
      Refuse(Text("there are ", kMaxAverages, " averages already, the most that are made"));
    store_.RequireFolder();
    found = orders_.emplace(job.name, Order{.job = job}).first;
  }
  if (!found->second.queued) QueueIfComplete(found->second, may_come);
  return found->second.progress;
}

void Averaging::QueueIfComplete(Order& order, const std::function<bool(int)>& may_come) {
  std::vector<int> missing, gone;
  for (const int member : order.job.members) {
    if (store_.Find(MemberWeightsName(member))) continue;
    missing.push_back(member);
    if (!may_come(member)) gone.push_back(member);
  }
  if (!gone.empty()) {
    order.progress = {Stage::kFailed, Text("member ", Listed(gone), " left or was lost before its weights came")};
    order.queued = true;
  } else if (!missing.empty()) {
    order.progress = {Stage::kRunning, Text("waiting for the weights of member ", Listed(missing))};
  } else {
    order.progress = {Stage::kRunning, Text("averaging ", order.job.members.size(), " members")};
    order.queued = true;
    queue_.push_back(order.job);
    wake_.notify_all();
  }
}

AverageProgress Averaging::Make(const AverageJob& job) {
  try {
    std::vector<std::filesystem::path> inputs;
    for (const int member : job.members) inputs.push_back(store_.PathOf(MemberWeightsName(member)));
    const auto for_blocks = [this](int64_t begin, int64_t end, int64_t grain, const base::BlockWork& work) {
      for (int64_t at = begin; at < end; at += grain) {
        if (stopping_) throw Interrupted("the coordinator stops");
        work(at, std::min(end, at + grain));
      }
    };
    base::AverageSafetensors(inputs, store_.PathOf(job.name), OptionsOf(job), {}, for_blocks);
    store_.Adopt(job.name);
    return {Stage::kDone, Text(job.name, " is made of ", job.members.size(), " members")};
  } catch (const std::exception& failure) {
    return {Stage::kFailed, Text("cannot make ", job.name, ": ", failure.what())};
  }
}

void Averaging::Work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
    if (stopping_) return;
    const AverageJob job = queue_.front();
    queue_.pop_front();
    lock.unlock();
    AverageProgress progress = Make(job);
    note_(progress.reason);
    lock.lock();
    // A job that runs has not failed, so nobody has put another in its place.
    orders_.at(job.name).progress = std::move(progress);
  }
}

}  // namespace basin::coordinator
