#include "coordinator/tasks.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <utility>

#include "base/error.h"
#include "coordinator/limits.h"

namespace basin::coordinator {
namespace {

std::string ListProblem(const TaskList& list) {
  if (list.works.empty() || list.works.size() > static_cast<size_t>(kMaxTasks))
    return Text("a list of ", list.works.size(), " tasks; allowed: 1 to ", kMaxTasks);
  if (!(list.deadline_s > 0 && list.deadline_s <= kMaxTaskDeadline))
    return Text("the tasks' deadline_s is ", list.deadline_s, "; allowed: above 0, to ", kMaxTaskDeadline);
  size_t num_bytes = 0;
  for (size_t id = 0; id < list.works.size(); ++id) {
    const size_t size = list.works[id].size();
    if (size > kMaxWorkBytes) return Text("the work of task ", id, " has ", size, " bytes; allowed: ", kMaxWorkBytes);
    num_bytes += size;
  }
  if (num_bytes > kMaxWorksBytes)
    return Text("the works have ", num_bytes, " bytes together; allowed: ", kMaxWorksBytes);
  return {};
}

/// To the bit: a NaN is the same as itself.
bool Same(const std::vector<double>& a, const std::vector<double>& b) {
  return std::ranges::equal(
      a, b, [](double x, double y) { return std::bit_cast<uint64_t>(x) == std::bit_cast<uint64_t>(y); });
}

}  // namespace

std::string TaskBoard::Post(const TaskList& list) {
  if (std::string problem = ListProblem(list); !problem.empty()) return problem;
  if (slots_.empty()) {
    list_ = list;
    slots_.resize(list.works.size());
    results_.resize(list.works.size());
    return {};
  }
  if (list == list_) return {};
  return Text("a list of ", list_.works.size(), " tasks is posted already, and this one of ", list.works.size(),
              " differs from it; a run has one list");
}

FetchedTask TaskBoard::Fetch(int member, Time now) {
  using Kind = FetchedTask::Kind;
  const auto given = [&](size_t id) {
    return FetchedTask{Kind::kGiven, {static_cast<int64_t>(id), list_.works[id]}, progress()};
  };
  if (slots_.empty()) return {Kind::kNoList, {}, progress()};
  // The answer to its last call may have been lost.
  if (const auto mine = held_.find(member); mine != held_.end()) return given(mine->second);
  while (first_open_ < slots_.size() && slots_[first_open_].standing != Standing::kOpen) ++first_open_;
  if (first_open_ < slots_.size()) {
    slots_[first_open_] = {Standing::kHeld, member, now};
    held_.emplace(member, first_open_);
    return given(first_open_);
  }
  const bool all_done = done_ == static_cast<int64_t>(slots_.size());
  return {all_done ? Kind::kAllDone : Kind::kNoneOpen, {}, progress()};
}

TaskBoard::Returned TaskBoard::Return(int member, int64_t id, std::vector<double> values) {
  if (slots_.empty()) return {.problem = "nobody has posted a list of tasks to this coordinator"};
  if (id < 0 || id >= static_cast<int64_t>(slots_.size()))
    return {.problem = Text("the task is ", id, "; allowed: 0 to ", slots_.size() - 1)};
  if (values.size() > kMaxTaskValues)
    return {.problem = Text("the result has ", values.size(), " values; allowed: ", kMaxTaskValues)};
  Slot& slot = slots_[static_cast<size_t>(id)];
  std::vector<double>& result = results_[static_cast<size_t>(id)];
  if (slot.standing == Standing::kDone) {
    if (Same(result, values)) return {};
    return {.flaw = Text("member ", member, " returned another result of task ", id, " ('",
                         list_.works[static_cast<size_t>(id)], "') than member ", slot.holder, ", whose result stays")};
  }
  if (num_values_ + values.size() > kMaxTaskResults)
    return {.problem = Text("the results would have more than ", kMaxTaskResults, " values together")};
  if (slot.standing == Standing::kHeld) held_.erase(slot.holder);
  slot = {Standing::kDone, member, slot.since};
  ++done_;
  num_values_ += values.size();
  result = std::move(values);
  const auto bad = std::ranges::find_if(result, [](double value) { return !std::isfinite(value); });
  if (bad == result.end()) return {};
  return {.flaw = Text("member ", member, " returned ", *bad, " as value ", bad - result.begin(), " of task ", id,
                       " ('", list_.works[static_cast<size_t>(id)], "')")};
}

void TaskBoard::Open(size_t id) {
  held_.erase(slots_[id].holder);
  slots_[id] = {};
  first_open_ = std::min(first_open_, id);
}

std::optional<int64_t> TaskBoard::GiveBack(int member) {
  const auto mine = held_.find(member);
  if (mine == held_.end()) return std::nullopt;
  const size_t id = mine->second;
  Open(id);
  return static_cast<int64_t>(id);
}

std::vector<TaskBoard::Late> TaskBoard::TakeBackLate(Time now) {
  std::vector<Late> late;
  for (const auto& [member, id] : held_) {
    if (now - slots_[id].since > FromSeconds(list_.deadline_s)) late.push_back({static_cast<int64_t>(id), member});
  }
  for (const Late& each : late) Open(static_cast<size_t>(each.id));
  return late;
}

TaskProgress TaskBoard::progress() const {
  return {static_cast<int64_t>(slots_.size()), done_, static_cast<int64_t>(held_.size())};
}

std::span<const std::vector<double>> TaskBoard::results() const {
  if (done_ < static_cast<int64_t>(slots_.size())) return {};
  return results_;
}

}  // namespace basin::coordinator
