// Who belongs to a run, as a pure function: (rules, state, event, time) -> (state, answer, actions).
// Here are no clock, thread, socket or wire type; `service` feeds it real events, the tests invented ones.
//
// Life of a group. Members join; when all are there, epoch 1 begins. A member is lost when it is silent for longer than
// its phase allows, when its connection closed and it does not come back, when it leaves with a failure, or when it
// does not stop for a new epoch. Then, with on_loss abort, the run ends for everybody; with continue a new epoch
// begins: its members stop at a step and say that they are ready, and the largest of their steps is agreed (whoever is
// behind trains up to it alone; nobody can go back). A lost member stays lost: whatever it says later, it is told that
// it has been put out.
//
// Restart. A new coordinator starts empty. Members join again with the epoch, group and agreed step that they know; the
// highest epoch wins, because only one coordinator ever made decisions. Members of that epoch that do not come back are
// lost.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "coordinator/types.h"

namespace basin::coordinator {

/// What the coordinator was told at its start. What is not given here is fixed by the first member that joins.
struct Rules {
  std::string token{};  ///< empty: that of the first member
  std::optional<int> members{};
  std::optional<OnLoss> on_loss{};
  std::optional<double> heartbeat_s{}, timeout_s{};
};

/// Silence that is allowed, by phase. Members beat from a thread of their own, so a long phase alone makes nobody
/// silent; but loading, evaluation and writing starve that thread on a busy machine.
Time SilenceAllowed(const Settings& settings, Phase phase);
/// How long a member whose connection closed has to be heard again.
Time ReturnAllowed(const Settings& settings);
/// How long a member may take from a new epoch to standing still for it, although it beats.
Time RegroupAllowed(const Settings& settings);
/// How long the first member waits for the last one.
Time StartUpAllowed(const Settings& settings);

enum class Standing { kAwaited, kPresent, kLeft, kLost };

struct Member {
  Standing standing = Standing::kAwaited;
  uint64_t incarnation = 0;  ///< 0: never joined
  std::string host;
  int64_t pid = 0;
  Phase phase = Phase::kStartUp;
  int64_t step = 0;
  std::string operation;
  double steps_per_second = 0;
  int64_t ready_epoch = 0;  ///< the epoch for which it stands still
  Time joined{0}, heard{0}, progressed{0};
  std::optional<Time> disconnected;
  std::string farewell;  ///< why it left or was lost
};

struct State {
  std::optional<Settings> settings;  ///< none until the first member joined
  std::string token;
  std::vector<Member> members;  ///< by id
  int64_t epoch = 0;
  std::vector<int> group;  ///< of the epoch, ascending
  int64_t agreed_step = -1;
  bool rebuilt = false;   ///< epoch was learnt from members, not decided here
  bool ended = false;     ///< for everybody, by a loss
  bool finished = false;  ///< all members left in order
  std::string reason;     ///< of the last decision
  Time first_join{0}, last_tick{0}, regroup_since{0};
};

/// A process takes the seat of a member. `again` with its fields: see "Restart" above.
struct Join {
  int member = 0;
  uint64_t incarnation = 0;
  std::string token{};
  std::string host{};
  int64_t pid = 0;
  Settings settings{};
  bool again = false;
  int64_t epoch = 0;
  std::vector<int> group{};
  int64_t agreed_step = -1;
  int64_t step = 0;
};
struct Beat {
  int member = 0;
  uint64_t incarnation = 0;
  Phase phase = Phase::kTraining;
  int64_t step = 0;
  std::string operation{};
  double steps_per_second = 0;
  int64_t ready_epoch = 0;
};
/// The member's stream ended without a farewell.
struct Disconnect {
  int member = 0;
  uint64_t incarnation = 0;
};
struct Leave {
  int member = 0;
  uint64_t incarnation = 0;
  LeaveKind kind = LeaveKind::kDone;
  std::string reason{};
};
/// Time passes. Wanted several times a second.
struct Tick {};
using Event = std::variant<Join, Beat, Disconnect, Leave, Tick>;

/// Something that happened: a line in the record of events. `tell_all`: every member's directive may have changed.
struct Action {
  enum class Kind { kJoined, kRefused, kStarted, kLost, kRegroup, kAgreed, kLeft, kEnded, kFinished, kNote };
  Kind kind;
  int member = -1;  ///< -1: the whole run
  std::string text;
  bool tell_all = false;
};
std::string_view Name(Action::Kind kind);

struct Outcome {
  State state;
  bool accepted = true;  ///< false: a join was refused, `reason` says why
  std::string reason{};
  std::vector<Action> actions{};
};

/// The transition. Never throws on account of an event: whatever is impossible is refused or ignored.
Outcome Apply(const Rules& rules, State state, const Event& event, Time now);

/// What the process `incarnation` of `member` has to do now.
Directive DirectiveFor(const State& state, int member, uint64_t incarnation);

/// The picture for people and scripts (without measurements).
Status StatusOf(const State& state, Time now);

}  // namespace basin::coordinator
