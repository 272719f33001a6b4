// The service's part of a run's end: who may send files, and the tasks.
#include <utility>

#include "coordinator/service.h"
#include "coordinator/wire.h"

namespace basin::coordinator {
namespace {

// One message holds 128 Ki values; the rest is for lengths and the largest single result.
constexpr size_t kValuesAMessage = 64 << 10;

}  // namespace

void Service::Admit(const Caller& caller) {
  const std::lock_guard lock(mutex_);
  AdmitMember(caller);
}

void Service::Require(const Caller& caller) {
  const std::lock_guard lock(mutex_);
  if (!IsMember(caller))
    throw Refused(Refused::Why::kNotAllowed, Text("this process is not member ", caller.member, " of the run"));
}

bool Service::IsPresent(int member) {
  const std::lock_guard lock(mutex_);
  return member >= 0 && member < static_cast<int>(state_.members.size()) &&
         state_.members[static_cast<size_t>(member)].standing == Standing::kPresent;
}

void Service::Note(int member, const std::string& text) {
  const std::lock_guard lock(mutex_);
  NoteLocked(member, text);
}

void Service::NoteLocked(int member, const std::string& text) {
  if (events_.size() >= kMaxPendingEvents) return;
  events_.push_back(
      {base::UnixSeconds(), state_.epoch, {Action::Kind::kNote, member, Printable(text, 8 * kMaxReasonBytes)}});
}

TaskProgress Service::PostTasks(const Caller& caller, const TaskList& list) {
  const std::lock_guard lock(mutex_);
  AdmitMember(caller);
  const bool first = tasks_.progress().total == 0;
  const std::string problem = tasks_.Post(list);
  if (!problem.empty()) throw Refused(Refused::Why::kInvalid, problem);
  if (first) NoteLocked(caller.member, Text("member ", caller.member, " posted ", list.works.size(), " tasks"));
  return tasks_.progress();
}

FetchedTask Service::FetchTask(const Caller& caller) {
  const std::lock_guard lock(mutex_);
  AdmitMember(caller);
  return tasks_.Fetch(caller.member, clock_.Now());
}

TaskProgress Service::ReturnTask(const Caller& caller, int64_t id, std::vector<double> values) {
  const std::lock_guard lock(mutex_);
  AdmitMember(caller);
  if (tasks_.progress().total == 0) return {};
  const TaskProgress before = tasks_.progress();
  const TaskBoard::Returned returned = tasks_.Return(caller.member, id, std::move(values));
  if (!returned.problem.empty()) throw Refused(Refused::Why::kInvalid, returned.problem);
  if (!returned.flaw.empty()) NoteLocked(caller.member, returned.flaw);
  const TaskProgress now = tasks_.progress();
  if (now.done == now.total && before.done < now.done) NoteLocked(-1, Text("all ", now.total, " tasks are done"));
  return now;
}

Service::TaskResults Service::ResultsOfTasks(const Caller& caller, int64_t from) {
  const std::lock_guard lock(mutex_);
  AdmitMember(caller);
  TaskResults reply{.progress = tasks_.progress()};
  size_t num_values = 0;
  const auto all = tasks_.results();
  for (auto id = static_cast<size_t>(from); id < all.size() && num_values < kValuesAMessage; ++id) {
    reply.values.push_back(all[id]);
    num_values += all[id].size();
  }
  return reply;
}

}  // namespace basin::coordinator
