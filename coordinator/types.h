// The words that members, the coordinator and `basin status` share. Plain values; no wire type, no clock.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace basin::coordinator {

/// Time since an origin that the caller chose (base::Clock::Now()), and its differences.
using Time = std::chrono::nanoseconds;
inline double ToSeconds(Time time) { return std::chrono::duration<double>(time).count(); }
inline Time FromSeconds(double seconds) {
  return std::chrono::duration_cast<Time>(std::chrono::duration<double>(seconds));
}

/// What a member is busy with; each has its own deadline of silence.
enum class Phase { kStartUp, kTraining, kEvaluation, kCheckpoint, kFinish };
std::string_view Name(Phase phase);  ///< "start-up", "training", "evaluation", "checkpoint", "finish"

enum class OnLoss { kAbort, kContinue };
std::string_view Name(OnLoss on_loss);      ///< "abort", "continue"
OnLoss ParseOnLoss(std::string_view name);  ///< ConfigError with the allowed names

/// What all members of a run must agree on (YAML section `coordinator`, and `population.members`).
struct Settings {
  int members = 0;  ///< of the population, in [1, kMaxMembers]
  OnLoss on_loss = OnLoss::kAbort;
  double heartbeat_s = 2;  ///< between two beats of a member
  double timeout_s = 10;   ///< silence after which a training member is lost; more than heartbeat_s
  bool operator==(const Settings&) const = default;
};

/// What a member has to do.
enum class Verdict {
  kWait,       ///< the group is not complete yet
  kGoOn,       ///< train in the group `members`; this epoch's exchanges begin after `step`
  kRegroup,    ///< a new epoch: stop at a step, drop the half-done exchange, then Client::Agree
  kEnd,        ///< the run is over for everybody
  kPutOut,     ///< the run goes on, or ended, without this member: it must not write into the run again
  kJoinAgain,  ///< the coordinator was restarted and does not know this member (the client handles it by itself)
};
/// Whether the run has ended for the member that is told so; no other verdict follows.
constexpr bool IsOver(Verdict verdict) { return verdict == Verdict::kEnd || verdict == Verdict::kPutOut; }

/// The whole of what the membership decided for one member. Later directives replace earlier ones.
struct Directive {
  Verdict verdict = Verdict::kWait;
  int64_t epoch = 0;           ///< of the membership: 0 before the group is complete, then 1, 2, ...
  std::vector<int> members{};  ///< of the epoch, ascending
  int64_t step = -1;           ///< agreed by the epoch's members; -1: not yet
  std::string reason{};        ///< of the last decision, for people
  bool operator==(const Directive&) const = default;
};

enum class LeaveKind {
  kDone,         ///< the member has finished
  kInterrupted,  ///< the user asked it to stop
  kFailed,       ///< an error; for the others it is a loss, known at once
};

/// A number that a member reports, e.g. its loss. Not finite is allowed and shown as such.
struct Measurement {
  std::string name;
  double value = 0;
  int64_t step = 0;
};

/// A member as `basin status` shows it. Durations are seconds.
struct MemberStatus {
  int id = 0;
  std::string state;  ///< "awaited", the name of a phase, "left", "lost"
  std::string host;
  int64_t pid = 0;
  int64_t step = 0;  ///< last completed step
  std::string operation;
  double steps_per_second = 0;
  double member_for_s = -1;  ///< since it joined; -1: never
  double silent_s = -1;      ///< since it was last heard; -1: never
  double operation_s = 0;    ///< since its step, phase or operation last changed
  std::string note;          ///< why it is waited for, left or was lost; else empty
  std::vector<Measurement> measurements;
};

struct Status {
  std::vector<MemberStatus> members;
  std::vector<int> waiting_for;  ///< ids; a healthy member is not among them
  std::string reason;            ///< of the last decision
  int64_t epoch = 0;
  int64_t step = -1;    ///< agreed in this epoch; -1 while regrouping
  std::string outcome;  ///< "waiting", "running", "regrouping", "ended", "finished"
};

/// One piece of work, as it was posted.
struct Task {
  int64_t id = 0;      ///< its place in the list
  std::string work{};  ///< what to do, in the words of who posted it; at most 1024 bytes
};

/// What the members of a run share among them once.
struct TaskList {
  std::vector<std::string> works{};  ///< by task number; any bytes, at most 1024 each
  double deadline_s = 0;             ///< a member that holds a task for longer loses it to another; more than 0
  bool operator==(const TaskList&) const = default;
};

struct TaskProgress {
  int64_t total = 0;  ///< 0: there is no list
  int64_t done = 0;
  int64_t held = 0;  ///< by members at this moment
  bool operator==(const TaskProgress&) const = default;
};

/// The answer to a member that has nothing to do.
struct FetchedTask {
  enum class Kind {
    kGiven,     ///< `task` is the member's
    kNoneOpen,  ///< others hold what is left; ask again
    kAllDone,
    kNoList,  ///< nobody has posted one; a coordinator that was restarted has forgotten it
  };
  Kind kind = Kind::kNoList;
  Task task{};
  TaskProgress progress{};
};

/// How much of a file of weights the coordinator holds.
struct WeightsReceipt {
  int64_t held_bytes = 0;  ///< verified, from the start of the file
  bool complete = false;   ///< the file is in place
  /// Complete, but it holds a value that is not finite: "tensor w has a value that is not finite (element 3)". Empty: all are
  /// finite. Such a file is kept and can be fetched; an average with it fails.
  std::string flaw{};
};

/// Which members' weights the coordinator shall average, and how. Double precision, rounded once.
struct AverageJob {
  std::vector<int> members{};  ///< each once; their order is that of the sum
  enum class Method { kUniform, kWeighted, kMedian, kTrimmed };
  Method method = Method::kUniform;
  std::vector<double> weights{};  ///< weighted: one a member, finite, not negative, not all 0
  double trim = 0;                ///< trimmed: floor(trim x members) smallest and largest are dropped; in [0, 0.5)
  std::string name{};             ///< of the file to make: a plain name that ends in ".safetensors", at most 64 bytes
  bool operator==(const AverageJob&) const = default;
};

struct AverageProgress {
  enum class State { kRunning, kDone, kFailed };  ///< running: or waiting for members' files
  State state = State::kRunning;
  std::string reason{};  ///< what is waited for, or why it failed
};

/// "members/007.safetensors": under which name a member's weights are sent and kept; three digits at least.
std::string MemberWeightsName(int member);

/// Files in PEM form. All empty: plain text. Otherwise all three are needed, on both sides.
struct Tls {
  std::string cert{}, key{}, ca{};
  /// Client only: the name in the coordinator's certificate, where it is not the host that is connected to.
  std::string server_name{};
  bool empty() const { return cert.empty() && key.empty() && ca.empty(); }
};

/// "0, 1, 4"; at most ten ids, then "... (12 in all)".
std::string Listed(const std::vector<int>& ids);

}  // namespace basin::coordinator
