// The membership at work: one mutex around the pure core, the real clock, the members' watches, values and
// measurements. Knows no wire type: `rpc` brings the calls, `server` the ticks.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "coordinator/key_value.h"
#include "coordinator/limits.h"
#include "coordinator/membership.h"
#include "coordinator/tasks.h"

namespace basin::coordinator {

/// A call that is not answered, with the reason as a sentence.
struct Refused : Error {
  enum class Why { kInvalid, kNotAllowed, kTooMuch, kNotThere };
  Refused(Why why, const std::string& text) : Error(text), why(why) {}
  Why why;
};

/// A member's process.
struct Caller {
  int member = 0;
  uint64_t incarnation = 0;
};

/// One entry of the record of events.
struct EventLine {
  double unix_s = 0;
  int64_t epoch = 0;
  Action action{};
};

/// Thread-safe. Calls take microseconds and never wait for anything but the mutex.
class Service {
 public:
  /// Called with the mutex held: it must neither block nor call the service.
  using Push = std::function<void(const Directive&)>;

  /// The clock must outlive the service.
  Service(Rules rules, const base::Clock& clock) : rules_(std::move(rules)), clock_(clock) {}

  /// Refused when the seat is not given.
  Directive Handle(const Join& join);
  Directive Handle(const Beat& beat);
  void Handle(const Leave& leave);

  /// Pushes the directive that holds now and registers `push` for its changes, in place of the caller's earlier watch.
  /// Returns the id of the watch; 0 when the caller is no member, and nothing was registered.
  uint64_t Open(const Caller& caller, Push push);
  /// The watch has ended, which counts as a closed connection unless a newer watch replaced it.
  void Close(const Caller& caller, uint64_t id);

  void Report(const Caller& caller, const std::vector<Measurement>& measurements);
  void Put(const Caller& caller, const std::string& key, const std::string& value);
  std::optional<std::string> Get(const Caller& caller, const std::string& key);

  /// Refused unless the caller is a member at this moment. Admit counts against its rate, Require does not.
  void Admit(const Caller& caller);
  void Require(const Caller& caller);
  bool IsPresent(int member);
  /// A line in the record of events, for people.
  void Note(int member, const std::string& text);

  /// See tasks.h. Tasks of members that are lost, have left or are late go to others.
  TaskProgress PostTasks(const Caller& caller, const TaskList& list);
  FetchedTask FetchTask(const Caller& caller);
  /// A total of 0: there is no list, and the result was not taken.
  TaskProgress ReturnTask(const Caller& caller, int64_t id, std::vector<double> values);
  struct TaskResults {
    TaskProgress progress{};
    std::vector<std::vector<double>> values{};  ///< of tasks from, from + 1, ...; as many as fit into a message
  };
  TaskResults ResultsOfTasks(const Caller& caller, int64_t from);

  Status status();
  /// The same for a caller on the wire: their rate is limited.
  Status Ask();

  void Tick();
  /// What happened since the last call, in order.
  std::vector<EventLine> TakeEvents();

 private:
  struct Watcher {
    uint64_t id;
    uint64_t incarnation;
    Push push;
  };
  // What one member may ask for: far more than a beat, a report and a key need, far less than what would hurt the
  // others.
  struct Seat {
    RateLimit calls{200, 400};
    std::map<std::string, Measurement> measurements;
  };

  // Nobody fetches the events of an embedded coordinator in a test; they must not pile up.
  static constexpr size_t kMaxPendingEvents = 65536;

  Outcome ApplyLocked(const Event& event);
  void NoteLocked(int member, const std::string& text);
  void AdmitStranger();
  void AdmitMember(const Caller& caller);
  bool IsMember(const Caller& caller) const;

  const Rules rules_;
  const base::Clock& clock_;
  std::mutex mutex_;
  State state_;
  KeyValueStore values_;
  TaskBoard tasks_;
  std::map<int, Watcher> watchers_;
  std::map<int, Seat> seats_;
  RateLimit strangers_{1000, 2 * kMaxMembers};
  uint64_t last_watch_ = 0;
  std::vector<EventLine> events_;
};

}  // namespace basin::coordinator
