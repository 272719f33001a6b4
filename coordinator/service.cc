#include "coordinator/service.h"

#include <utility>

namespace basin::coordinator {

Outcome Service::ApplyLocked(const Event& event) {
  Outcome outcome = Apply(rules_, std::move(state_), event, clock_.Now());
  state_ = std::move(outcome.state);
  bool tell_all = false;
  for (Action& action : outcome.actions) {
    tell_all = tell_all || action.tell_all;
    // Whoever is gone works on nothing any more.
    if (action.kind == Action::Kind::kLost || action.kind == Action::Kind::kLeft) tasks_.GiveBack(action.member);
    if (events_.size() < kMaxPendingEvents) events_.push_back({base::UnixSeconds(), state_.epoch, std::move(action)});
  }
  if (tell_all) {
    for (const auto& [member, watcher] : watchers_) watcher.push(DirectiveFor(state_, member, watcher.incarnation));
  }
  return outcome;
}

bool Service::IsMember(const Caller& caller) const {
  if (caller.member < 0 || caller.member >= static_cast<int>(state_.members.size())) return false;
  const Member& member = state_.members[static_cast<size_t>(caller.member)];
  return member.standing == Standing::kPresent && member.incarnation == caller.incarnation;
}

void Service::AdmitStranger() {
  if (!strangers_.Allow(clock_.Now()))
    throw Refused(Refused::Why::kTooMuch, "too many calls of processes that are not members; try again later");
}

void Service::AdmitMember(const Caller& caller) {
  if (!IsMember(caller)) {
    AdmitStranger();
    throw Refused(Refused::Why::kNotAllowed, Text("this process is not member ", caller.member, " of the run"));
  }
  if (!seats_[caller.member].calls.Allow(clock_.Now()))
    throw Refused(Refused::Why::kTooMuch, Text("member ", caller.member, " calls too often; try again later"));
}

Directive Service::Handle(const Join& join) {
  const std::lock_guard lock(mutex_);
  AdmitStranger();
  const Outcome outcome = ApplyLocked(join);
  if (!outcome.accepted) throw Refused(Refused::Why::kNotAllowed, outcome.reason);
  return DirectiveFor(state_, join.member, join.incarnation);
}

Directive Service::Handle(const Beat& beat) {
  const std::lock_guard lock(mutex_);
  if (IsMember({beat.member, beat.incarnation})) {
    AdmitMember({beat.member, beat.incarnation});
    ApplyLocked(beat);
  } else {
    AdmitStranger();
  }
  return DirectiveFor(state_, beat.member, beat.incarnation);
}

void Service::Handle(const Leave& leave) {
  const std::lock_guard lock(mutex_);
  AdmitMember({leave.member, leave.incarnation});
  ApplyLocked(leave);
}

uint64_t Service::Open(const Caller& caller, Push push) {
  const std::lock_guard lock(mutex_);
  const bool is_member = IsMember(caller);
  is_member ? AdmitMember(caller) : AdmitStranger();
  push(DirectiveFor(state_, caller.member, caller.incarnation));
  if (!is_member) return 0;
  watchers_[caller.member] = {++last_watch_, caller.incarnation, std::move(push)};
  return last_watch_;
}

void Service::Close(const Caller& caller, uint64_t id) {
  const std::lock_guard lock(mutex_);
  const auto found = watchers_.find(caller.member);
  if (found == watchers_.end() || found->second.id != id) return;
  watchers_.erase(found);
  ApplyLocked(Disconnect{caller.member, caller.incarnation});
}

void Service::Report(const Caller& caller, const std::vector<Measurement>& measurements) {
  const std::lock_guard lock(mutex_);
  AdmitMember(caller);
  auto& kept = seats_[caller.member].measurements;
  for (const Measurement& measurement : measurements) {
    if (kept.size() >= kMaxMeasurements && !kept.contains(measurement.name))
      throw Refused(Refused::Why::kTooMuch,
                    Text("member ", caller.member, " reports more than ", kMaxMeasurements, " names"));
    kept[measurement.name] = measurement;
  }
}

void Service::Put(const Caller& caller, const std::string& key, const std::string& value) {
  const std::lock_guard lock(mutex_);
  AdmitMember(caller);
  const std::string problem = values_.Put(key, value);
  if (!problem.empty()) throw Refused(Refused::Why::kInvalid, problem);
}

std::optional<std::string> Service::Get(const Caller& caller, const std::string& key) {
  const std::lock_guard lock(mutex_);
  AdmitMember(caller);
  return values_.Get(key);
}

Status Service::status() {
  const std::lock_guard lock(mutex_);
  Status status = StatusOf(state_, clock_.Now());
  for (MemberStatus& member : status.members) {
    const auto seat = seats_.find(member.id);
    if (seat == seats_.end()) continue;
    for (const auto& [name, measurement] : seat->second.measurements) member.measurements.push_back(measurement);
  }
  return status;
}

Status Service::Ask() {
  {
    const std::lock_guard lock(mutex_);
    AdmitStranger();
  }
  return status();
}

void Service::Tick() {
  const std::lock_guard lock(mutex_);
  ApplyLocked(coordinator::Tick{});
  for (const auto& [id, member] : tasks_.TakeBackLate(clock_.Now()))
    NoteLocked(member, Text("member ", member, " held task ", id, " for longer than its deadline; another may have it"));
}

std::vector<EventLine> Service::TakeEvents() {
  const std::lock_guard lock(mutex_);
  return std::exchange(events_, {});
}

}  // namespace basin::coordinator
