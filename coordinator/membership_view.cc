// What the membership looks like from outside: to one member, and to people.
#include <algorithm>

#include "base/error.h"
#include "coordinator/membership.h"

namespace basin::coordinator {
namespace {

// A member whose step, phase and operation have not changed for so long is suspected to hang, although it beats.
constexpr double kStalledTimeouts = 3;

std::vector<int> NotJoined(const State& state) {
  std::vector<int> ids;
  for (size_t id = 0; id < state.members.size(); ++id) {
    if (state.members[id].standing == Standing::kAwaited) ids.push_back(static_cast<int>(id));
  }
  return ids;
}

std::string OutcomeOf(const State& state) {
  if (state.ended) return "ended";
  if (state.finished) return "finished";
  if (state.epoch == 0) return "waiting";
  return state.agreed_step < 0 ? "regrouping" : "running";
}

// Of those that make no progress only the ones furthest behind are waited for: the others wait themselves.
int64_t SmallestStalledStep(const State& state, Time now) {
  int64_t smallest = -1;
  for (const Member& member : state.members) {
    if (member.standing != Standing::kPresent || member.phase != Phase::kTraining) continue;
    if (now - member.progressed < FromSeconds(kStalledTimeouts * state.settings->timeout_s)) continue;
    if (smallest < 0 || member.step < smallest) smallest = member.step;
  }
  return smallest;
}

// Why the others have to wait for this member; empty: they need not.
std::string WaitNote(const State& state, const Member& member, int64_t stalled_step, Time now) {
  if (member.standing == Standing::kAwaited)
    return state.epoch == 0 ? "has not joined yet" : "has not come back since the coordinator's restart";
  if (member.standing != Standing::kPresent) return {};
  if (member.disconnected) return "its connection is closed";
  const double silence = ToSeconds(now - member.heard);
  if (silence > 1.75 * state.settings->heartbeat_s)
    return Text("missed a beat; in training it is lost after ", state.settings->timeout_s, " s");
  if (state.epoch > 0 && state.agreed_step < 0 && member.ready_epoch != state.epoch)
    return Text("has not reached the regrouping of epoch ", state.epoch, " yet");
  if (member.phase == Phase::kTraining && member.step == stalled_step &&
      now - member.progressed >= FromSeconds(kStalledTimeouts * state.settings->timeout_s))
    return "beats, but makes no progress";
  return {};
}

MemberStatus StatusOfMember(const State& state, int id, Time now) {
  const Member& member = state.members[static_cast<size_t>(id)];
  MemberStatus status{.id = id,
                      .host = member.host,
                      .pid = member.pid,
                      .step = member.step,
                      .operation = member.operation,
                      .steps_per_second = member.steps_per_second,
                      .note = member.farewell};
  switch (member.standing) {
    case Standing::kAwaited: status.state = "awaited"; break;
    case Standing::kPresent: status.state = Name(member.phase); break;
    case Standing::kLeft: status.state = "left"; break;
    case Standing::kLost: status.state = "lost"; break;
  }
  if (member.incarnation == 0) return status;
  status.member_for_s = ToSeconds(now - member.joined);
  status.silent_s = ToSeconds(now - member.heard);
  status.operation_s = ToSeconds(now - member.progressed);
  return status;
}

}  // namespace

Directive DirectiveFor(const State& state, int id, uint64_t incarnation) {
  if (id < 0 || id >= static_cast<int>(state.members.size()))
    return {.verdict = Verdict::kJoinAgain, .reason = "not a member here"};
  const Member& member = state.members[static_cast<size_t>(id)];
  Directive directive{.epoch = state.epoch, .members = state.group, .step = state.agreed_step, .reason = state.reason};
  const auto put_out = [&](std::string why) {
    directive.verdict = Verdict::kPutOut;
    directive.reason = std::move(why);
    return directive;
  };
  switch (member.standing) {
    case Standing::kAwaited:
      return {.verdict = Verdict::kJoinAgain, .reason = "the coordinator does not know this process"};
    case Standing::kLost: return put_out(member.farewell);
    case Standing::kLeft: return put_out(Text("member ", id, " has left: ", member.farewell));
    case Standing::kPresent: break;
  }
  if (member.incarnation != incarnation)
    return put_out(Text("member ", id, " is now process ", member.pid, " on ", member.host));
  if (state.ended || state.finished) {
    directive.verdict = Verdict::kEnd;
  } else if (state.epoch == 0) {
    directive.verdict = Verdict::kWait;
    directive.reason = Text("waiting for member ", Listed(NotJoined(state)));
  } else if (!std::ranges::binary_search(state.group, id)) {
    return put_out(Text("member ", id, " is not in the group of epoch ", state.epoch));
  } else {
    directive.verdict = state.agreed_step < 0 ? Verdict::kRegroup : Verdict::kGoOn;
  }
  return directive;
}

Status StatusOf(const State& state, Time now) {
  Status status{.members = {},
                .waiting_for = {},
                .reason = state.reason,
                .epoch = state.epoch,
                .step = state.agreed_step,
                .outcome = OutcomeOf(state)};
  if (!state.settings) {
    status.reason = "no member has joined yet";
    return status;
  }
  const int64_t stalled_step = SmallestStalledStep(state, now);
  for (int id = 0; id < static_cast<int>(state.members.size()); ++id) {
    MemberStatus member = StatusOfMember(state, id, now);
    if (!state.ended && !state.finished) {
      const std::string note = WaitNote(state, state.members[static_cast<size_t>(id)], stalled_step, now);
      if (!note.empty()) {
        status.waiting_for.push_back(id);
        member.note = note;
      }
    }
    status.members.push_back(std::move(member));
  }
  return status;
}

}  // namespace basin::coordinator
