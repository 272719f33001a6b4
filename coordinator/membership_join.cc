#include "coordinator/membership_join.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "coordinator/limits.h"

namespace basin::coordinator {
namespace {

Settings Effective(const Rules& rules, const Settings& asked) {
  return {.members = rules.members.value_or(asked.members),
          .on_loss = rules.on_loss.value_or(asked.on_loss),
          .heartbeat_s = rules.heartbeat_s.value_or(asked.heartbeat_s),
          .timeout_s = rules.timeout_s.value_or(asked.timeout_s)};
}

/// Takes the same time for every wrong token of one length, so that answers do not teach it byte by byte.
bool SameSecret(const std::string& a, const std::string& b) {
  unsigned difference = a.size() == b.size() ? 0 : 1;
  for (size_t i = 0; i < a.size() && i < b.size(); ++i)
    difference |= static_cast<unsigned char>(a[i]) ^ static_cast<unsigned char>(b[i]);
  return difference == 0;
}

std::string SettingsProblem(const Rules& rules, const State& state, const Settings& asked) {
  if (asked.members < 1 || asked.members > kMaxMembers)
    return Text("population.members is ", asked.members, "; allowed: 1 to ", kMaxMembers);
  if (!(asked.heartbeat_s > 0) || !(asked.timeout_s > asked.heartbeat_s) || !(asked.timeout_s <= 86400)) {
    return Text("coordinator.heartbeat_s is ", asked.heartbeat_s, " and timeout_s is ", asked.timeout_s,
                "; allowed: 0 < heartbeat_s < timeout_s <= 86400");
  }
  const Settings effective = Effective(rules, asked);
  const int members = state.settings ? state.settings->members : effective.members;
  if (asked.members != members)
    return Text("this run has ", members, " members, the joining one was configured for ", asked.members);
  if (state.settings && !(effective == *state.settings)) {
    return Text("the joining member's coordinator section differs from the run's (on_loss ",
                Name(state.settings->on_loss), ", heartbeat_s ", state.settings->heartbeat_s, ", timeout_s ",
                state.settings->timeout_s, "); start all members with one configuration");
  }
  return {};
}

std::string MemoryProblem(const State& state, const Join& join) {
  const int members = join.settings.members;
  if (join.epoch < 0 || join.epoch > kMaxEpoch || join.step < 0 || join.step > kMaxStep || join.agreed_step < -1 ||
      join.agreed_step > kMaxStep)
    return Text("epoch ", join.epoch, ", step ", join.step, " or agreed step ", join.agreed_step, " is out of range");
  if (!join.again) return join.epoch == 0 && join.group.empty() ? "" : "only a member that joins again knows an epoch";
  if (join.epoch == 0) return join.group.empty() ? "" : "epoch 0 has no group";
  const bool ascending = std::ranges::adjacent_find(join.group, std::ranges::greater_equal()) == join.group.end();
  if (!ascending || !std::ranges::binary_search(join.group, join.member) || join.group.front() < 0 ||
      join.group.back() >= members)
    return Text("the group of epoch ", join.epoch, " is not an ascending list of members that holds member ",
                join.member);
  if (join.epoch > state.epoch && state.epoch > 0 && !state.rebuilt)
    return Text("epoch ", join.epoch, " was never decided here; this coordinator is at epoch ", state.epoch);
  return {};
}

std::string SeatProblem(const State& state, const Join& join) {
  if (!state.settings) return {};
  const Member& member = state.members[static_cast<size_t>(join.member)];
  if (member.standing == Standing::kLost)
    return Text("member ", join.member, " has been put out of the run: ", member.farewell);
  if (member.standing == Standing::kPresent && member.incarnation == join.incarnation) return {};
  if (state.ended || state.finished) return Text("the run is over: ", state.reason);
  if (member.standing == Standing::kLeft) return Text("member ", join.member, " has left the run: ", member.farewell);
  if (member.standing == Standing::kPresent) {
    // Before the group is complete a process that died may be started anew; afterwards its weights would be missing.
    if (state.epoch == 0 && member.disconnected) return {};
    return Text("member ", join.member, " is here already: process ", member.pid, " on ", member.host,
                "; two processes cannot be the same member");
  }
  if (state.epoch > 0 && !join.again) {
    return Text("the run is under way (epoch ", state.epoch,
                "); a new process cannot enter it. Stop all members and start them with --resume");
  }
  return {};
}

/// After a restart: takes over a newer epoch. Those outside its group had been put out, whatever they believe.
bool Learn(State& state, const Join& join, Time now) {
  if (!join.again || join.epoch == 0) return false;
  if (join.epoch == state.epoch) {
    const bool news = state.agreed_step < 0 && join.agreed_step >= 0;
    if (news) state.agreed_step = join.agreed_step;
    return news;
  }
  if (join.epoch < state.epoch) return false;
  state.epoch = join.epoch;
  state.group = join.group;
  state.agreed_step = join.agreed_step;
  state.rebuilt = true;
  state.regroup_since = now;
  state.reason = Text("the coordinator was restarted; member ", join.member, " told it of epoch ", join.epoch,
                      " with members ", Listed(join.group));
  for (size_t id = 0; id < state.members.size(); ++id) {
    Member& member = state.members[id];
    if (std::ranges::binary_search(join.group, static_cast<int>(id))) {
      if (member.standing == Standing::kAwaited) member.heard = now;  // its time to come back runs from here
    } else {
      member.standing = Standing::kLost;
      member.farewell = Text("member ", id, " was put out before epoch ", join.epoch,
                             ", when the coordinator had not been restarted yet");
    }
  }
  return true;
}

}  // namespace

std::string JoinProblem(const Rules& rules, const State& state, const Join& join) {
  const std::string& token = state.settings ? state.token : rules.token;
  if (!token.empty() && !SameSecret(token, join.token))
    return "the run token is not that of this run; is the address that of another run's coordinator?";
  std::string problem = SettingsProblem(rules, state, join.settings);
  if (!problem.empty()) return problem;
  if (join.member < 0 || join.member >= join.settings.members)
    return Text("member ", join.member, " is out of range; allowed: 0 to ", join.settings.members - 1);
  if (join.incarnation == 0) return "incarnation is 0; it must be a random number";
  problem = MemoryProblem(state, join);
  return problem.empty() ? SeatProblem(state, join) : problem;
}

bool Seat(const Rules& rules, State& state, const Join& join, Time now) {
  if (!state.settings) {
    state.settings = Effective(rules, join.settings);
    state.token = rules.token.empty() ? join.token : rules.token;
    state.members.resize(static_cast<size_t>(state.settings->members));
    state.first_join = now;
    state.reason = "the first member joined";
  }
  const bool learnt = Learn(state, join, now);
  Member& member = state.members[static_cast<size_t>(join.member)];
  // Its own news may be older than what another one told: then it is put out, and its directive says so.
  if (member.standing == Standing::kLost) return learnt;
  if (member.incarnation != join.incarnation || member.standing != Standing::kPresent) {
    member = Member{.incarnation = join.incarnation, .host = join.host, .pid = join.pid, .joined = now};
    if (state.epoch > 0) member.phase = Phase::kTraining;
    member.progressed = now;
    member.step = join.step;
  }
  member.standing = Standing::kPresent;
  member.heard = now;
  member.disconnected.reset();
  return learnt;
}

}  // namespace basin::coordinator
