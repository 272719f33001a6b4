#include "coordinator/membership.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/error.h"
#include "coordinator/limits.h"
#include "coordinator/membership_join.h"

namespace basin::coordinator {
namespace {

using Kind = Action::Kind;

std::string Seconds(Time time) {
  return Text(static_cast<double>(std::chrono::round<std::chrono::milliseconds>(time).count() / 100) / 10, " s");
}

/// A transition at work: the outcome so far, and the moves that several events share.
class Transition {
 public:
  Transition(const Rules& rules, State state, Time now) : rules_(rules), now_(now) {
    outcome_.state = std::move(state);
  }

  Outcome Take() && { return std::move(outcome_); }

  void On(const Join& join) {
    std::string problem = JoinProblem(rules_, state(), join);
    if (!problem.empty()) {
      outcome_.accepted = false;
      outcome_.reason = problem;
      Note(Kind::kRefused, join.member, std::move(problem));
      return;
    }
    const bool repeated = IsPresent(join.member, join.incarnation);
    if (Seat(rules_, state(), join, now_)) Decide(Kind::kNote, state().reason);
    if (!repeated)
      Note(Kind::kJoined, join.member,
           Text("member ", join.member, " joined from ", join.host, " (process ", join.pid, ")"));
    StartIfComplete();
    AgreeIfReady();
  }

  void On(const Beat& beat) {
    if (!IsPresent(beat.member, beat.incarnation)) return;  // its directive says why
    Member& member = state().members[static_cast<size_t>(beat.member)];
    if (beat.step != member.step || beat.phase != member.phase || beat.operation != member.operation)
      member.progressed = now_;
    member.heard = now_;
    member.disconnected.reset();
    member.phase = beat.phase;
    member.step = beat.step;
    member.operation = beat.operation;
    member.steps_per_second = beat.steps_per_second;
    member.ready_epoch = beat.ready_epoch;
    AgreeIfReady();
  }

  void On(const Disconnect& event) {
    if (!IsPresent(event.member, event.incarnation)) return;
    Member& member = state().members[static_cast<size_t>(event.member)];
    if (!member.disconnected) member.disconnected = now_;
  }

  void On(const Leave& leave) {
    if (!IsPresent(leave.member, leave.incarnation)) return;
    Member& member = state().members[static_cast<size_t>(leave.member)];
    member.heard = now_;
    // Once the run has ended everybody fails; that loses nobody.
    if (leave.kind == LeaveKind::kFailed && !state().ended) {
      Lose({{leave.member, Text("failed: ", leave.reason)}});
      return;
    }
    member.standing = Standing::kLeft;
    member.farewell = leave.reason;
    Note(Kind::kLeft, leave.member, Text("member ", leave.member, " left: ", leave.reason));
    // Nobody waits for the readiness of one that has gone.
    AgreeIfReady();
    FinishIfEmpty();
  }

  void On(const Tick&) {
    ForgiveOwnSleep();
    state().last_tick = now_;
    if (!state().settings || state().ended || state().finished) return;
    std::vector<Loss> losses;
    for (int id = 0; id < size(); ++id) {
      std::string why = SilenceOf(state().members[static_cast<size_t>(id)]);
      if (!why.empty()) losses.push_back({id, std::move(why)});
    }
    if (!losses.empty()) Lose(losses);
    if (state().epoch == 0 && !state().ended && now_ - state().first_join > StartUpAllowed(*state().settings)) {
      End(Text("member ", Listed(With(Standing::kAwaited)), " did not join within ",
               Seconds(StartUpAllowed(*state().settings)), " of the first one"));
    }
  }

 private:
  struct Loss {
    int member;
    std::string why;  // continues "member 2 on host h (process 7) "
  };

  State& state() { return outcome_.state; }
  int size() { return static_cast<int>(state().members.size()); }

  bool IsPresent(int id, uint64_t incarnation) {
    if (id < 0 || id >= size()) return false;
    const Member& member = state().members[static_cast<size_t>(id)];
    return member.standing == Standing::kPresent && member.incarnation == incarnation;
  }

  std::vector<int> With(Standing standing) {
    std::vector<int> ids;
    for (int id = 0; id < size(); ++id) {
      if (state().members[static_cast<size_t>(id)].standing == standing) ids.push_back(id);
    }
    return ids;
  }

  void Note(Kind kind, int member, std::string text) { outcome_.actions.push_back({kind, member, std::move(text)}); }
  void Decide(Kind kind, std::string text) {
    state().reason = text;
    outcome_.actions.push_back({kind, -1, std::move(text), true});
  }

  // Why this member counts as lost; empty: it does not.
  std::string SilenceOf(const Member& member) {
    const bool awaited_after_restart = member.standing == Standing::kAwaited && state().rebuilt;
    if (member.standing != Standing::kPresent && !awaited_after_restart) return {};
    const Settings& settings = *state().settings;
    const Time silence = now_ - member.heard;
    if (awaited_after_restart) {
      return silence > SilenceAllowed(settings, Phase::kTraining)
                 ? Text("did not come back within ", Seconds(silence), " of the coordinator's restart")
                 : "";
    }
    const std::string doing = member.operation.empty() ? Text("in phase ", Name(member.phase))
                                                       : Text("in operation '", member.operation, "'");
    if (member.disconnected && now_ - *member.disconnected > ReturnAllowed(settings)) {
      return Text("closed its connection and was silent for ", Seconds(silence), " ", doing, ", step ", member.step);
    }
    const bool awaited_ready = state().epoch > 0 && state().agreed_step < 0 && member.ready_epoch != state().epoch;
    if (awaited_ready && now_ - state().regroup_since > RegroupAllowed(settings)) {
      return Text("did not stop for the regrouping of epoch ", state().epoch, " within ",
                  Seconds(RegroupAllowed(settings)), " ", doing, ", step ", member.step);
    }
    const Time allowed = SilenceAllowed(settings, member.phase);
    if (silence <= allowed) return {};
    return Text("was silent for ", Seconds(silence), " ", doing, ", step ", member.step, " (", Name(member.phase),
                " allows ", Seconds(allowed), ")");
  }

  // A coordinator that was stopped itself has heard nobody: its own sleep is no silence of theirs.
  void ForgiveOwnSleep() {
    const Time gap = now_ - state().last_tick;
    if (state().last_tick == Time{0} || gap < kOwnSleep) return;
    for (Member& member : state().members) {
      // What was heard during the gap (a beat that came in before this tick) must not move into the future.
      member.heard = std::min(now_, member.heard + gap);
      if (member.disconnected) member.disconnected = std::min(now_, *member.disconnected + gap);
    }
    state().first_join = std::min(now_, state().first_join + gap);
    state().regroup_since = std::min(now_, state().regroup_since + gap);
    Note(Kind::kNote, -1, Text("the coordinator itself did not run for ", Seconds(gap), "; nobody is blamed for it"));
  }

  void StartIfComplete() {
    if (state().epoch != 0 || state().ended || !With(Standing::kAwaited).empty()) return;
    state().epoch = 1;
    state().group = With(Standing::kPresent);
    state().agreed_step = LargestStep(state().group);
    Decide(Kind::kStarted,
           Text("epoch 1: all ", size(), " members joined; they go on after step ", state().agreed_step));
  }

  int64_t LargestStep(const std::vector<int>& ids) {
    int64_t step = 0;
    for (const int id : ids) step = std::max(step, state().members[static_cast<size_t>(id)].step);
    return step;
  }

  // The survivors agree once each of them stands still in this epoch.
  void AgreeIfReady() {
    if (state().epoch == 0 || state().agreed_step >= 0 || state().ended) return;
    std::vector<int> ready;
    for (const int id : state().group) {
      const Member& member = state().members[static_cast<size_t>(id)];
      if (member.standing == Standing::kLeft) continue;
      if (member.standing != Standing::kPresent || member.ready_epoch != state().epoch) return;
      ready.push_back(id);
    }
    if (ready.empty()) return;
    state().group = ready;
    state().agreed_step = LargestStep(ready);
    // The reason of the epoch stays part of the text: it is what people ask for later.
    Decide(Kind::kAgreed, Text(state().reason, "; agreed on step ", state().agreed_step));
  }

  void Lose(const std::vector<Loss>& losses) {
    std::string told;
    for (const auto& [id, why] : losses) {
      Member& member = state().members[static_cast<size_t>(id)];
      const std::string where = member.host.empty() ? "" : Text(" on ", member.host, " (process ", member.pid, ")");
      const std::string text = Text("member ", id, where, " ", why);
      member.standing = Standing::kLost;
      member.farewell = text;
      Note(Kind::kLost, id, text);
      told += (told.empty() ? "" : "; ") + text;
    }
    if (state().ended || state().finished) return;
    const bool may_go_on = state().settings->on_loss == OnLoss::kContinue;
    if (may_go_on && state().epoch == 0) {
      End(Text(told, "; the group was not complete yet, so there is nothing to go on with"));
    } else if (may_go_on && !Survivors().empty()) {
      NewEpoch(told);
    } else {
      End(Text(told, may_go_on ? "; nobody is left" : "; on_loss is abort"));
    }
  }

  std::vector<int> Survivors() {
    std::vector<int> ids;
    for (const int id : state().group) {
      const Standing standing = state().members[static_cast<size_t>(id)].standing;
      if (standing == Standing::kPresent || (standing == Standing::kAwaited && state().rebuilt)) ids.push_back(id);
    }
    return ids;
  }

  void NewEpoch(const std::string& why) {
    state().group = Survivors();
    state().epoch += 1;
    state().agreed_step = -1;
    state().regroup_since = now_;
    Decide(Kind::kRegroup, Text(why, "; epoch ", state().epoch, " goes on with ", state().group.size(), " of ", size(),
                                " members (", Listed(state().group), ")"));
  }

  void End(std::string why) {
    state().ended = true;
    Decide(Kind::kEnded, std::move(why));
  }

  void FinishIfEmpty() {
    if (state().ended || state().epoch == 0 || !With(Standing::kPresent).empty() || !Survivors().empty()) return;
    state().finished = true;
    Decide(Kind::kFinished, "all members have left in order");
  }

  const Rules& rules_;
  const Time now_;
  Outcome outcome_;
};

}  // namespace

Time SilenceAllowed(const Settings& settings, Phase phase) {
  switch (phase) {
    case Phase::kStartUp: return FromSeconds(std::max(30.0, 3 * settings.timeout_s));
    case Phase::kTraining: return FromSeconds(settings.timeout_s);
    default: return FromSeconds(3 * settings.timeout_s);
  }
}

Time ReturnAllowed(const Settings& settings) {
  return FromSeconds(std::min(settings.timeout_s, 1.5 * settings.heartbeat_s));
}

Time RegroupAllowed(const Settings& settings) { return FromSeconds(std::max(30.0, 3 * settings.timeout_s)); }

Time StartUpAllowed(const Settings& settings) { return FromSeconds(std::max(120.0, 6 * settings.timeout_s)); }

std::string_view Name(Action::Kind kind) {
  switch (kind) {
    case Kind::kJoined: return "joined";
    case Kind::kRefused: return "refused";
    case Kind::kStarted: return "started";
    case Kind::kLost: return "lost";
    case Kind::kRegroup: return "regroup";
    case Kind::kAgreed: return "agreed";
    case Kind::kLeft: return "left";
    case Kind::kEnded: return "ended";
    case Kind::kFinished: return "finished";
    case Kind::kNote: return "note";
  }
  throw CheckFailed("an action without a name");
}

Outcome Apply(const Rules& rules, State state, const Event& event, Time now) {
  Transition transition(rules, std::move(state), now);
  std::visit([&](const auto& happened) { transition.On(happened); }, event);
  return std::move(transition).Take();
}

}  // namespace basin::coordinator
