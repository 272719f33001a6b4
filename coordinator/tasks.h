// A board of tasks as a pure function of events and time: who works on what, and what came out. Here are no clock,
// thread or wire type; `service` holds one and feeds it, tests may use it as it is.
//
// The list is fixed by its first post. Each member holds at most one task; it goes to another member when its holder is
// gone or has held it for longer than the deadline. The first result of a task stays, so results are the same whoever
// worked.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "coordinator/types.h"

namespace basin::coordinator {

/// Not thread-safe. Members are numbers >= 0; the caller says who may ask. `now` never goes back.
class TaskBoard {
 public:
  /// Why the list was not taken, as a sentence; empty: it was, or it is the same as before. See limits.h for what is
  /// allowed.
  std::string Post(const TaskList& list);

  /// The lowest open task, now held by the member; or the one that it holds already, on its old deadline.
  FetchedTask Fetch(int member, Time now);

  struct Returned {
    std::string problem{};  ///< why the result was not taken, as a sentence; empty: it was, or is the same as the first
    std::string flaw{};  ///< worth telling people: a value that is not finite, or a result that differs from the first
  };
  /// Of any member, whether it still holds the task or not: a result that came late is as good.
  Returned Return(int member, int64_t id, std::vector<double> values);

  /// The member is gone: its task is open again. Returns that task.
  std::optional<int64_t> GiveBack(int member);
  /// Opens what was held for too long; returns it as (task, its holder).
  struct Late {
    int64_t id;
    int member;
  };
  std::vector<Late> TakeBackLate(Time now);

  TaskProgress progress() const;
  /// By task number; empty until all are done.
  std::span<const std::vector<double>> results() const;

 private:
  enum class Standing { kOpen, kHeld, kDone };
  struct Slot {
    Standing standing = Standing::kOpen;
    int holder = -1;
    Time since{0};
  };
  void Open(size_t id);

  TaskList list_;
  std::vector<Slot> slots_;                   // by task
  std::vector<std::vector<double>> results_;  // by task
  size_t num_values_ = 0;                     // of all results
  std::map<int, size_t> held_;                // by holder
  int64_t done_ = 0;
  size_t first_open_ = 0;  // no task before it is open
};

}  // namespace basin::coordinator
