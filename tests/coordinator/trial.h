// A made-up run: events at made-up times, in the words of the field.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "coordinator/membership.h"

namespace basin::coordinator {

/// A coordinator's core and a time that only the test moves. Ticks happen every 0.1 s while time passes, as in the
/// server, and every member that is alive beats every heartbeat_s.
class Trial {
 public:
  explicit Trial(Settings settings = {.members = 4, .on_loss = OnLoss::kContinue}, Rules rules = {})
      : settings_(settings), rules_(std::move(rules)) {}

  static uint64_t Process(int member) { return 100 + static_cast<uint64_t>(member); }
  Join JoinOf(int member) const {
    return {.member = member,
            .incarnation = Process(member),
            .token = "run-1",
            .host = "host-" + std::to_string(member),
            .pid = 4000 + member,
            .settings = settings_};
  }
  Beat BeatOf(int member, int64_t step) const {
    return {.member = member,
            .incarnation = Process(member),
            .phase = Phase::kTraining,
            .step = step,
            .operation = "exchange wash",
            .steps_per_second = 10};
  }

  Outcome Happens(const Event& event) {
    Outcome outcome = Apply(rules_, std::move(state_), event, now_);
    state_ = std::move(outcome.state);
    outcome.state = state_;
    for (const Action& action : outcome.actions) actions_.push_back(action);
    return outcome;
  }
  void AllJoin() {
    for (int member = 0; member < settings_.members; ++member) Happens(JoinOf(member));
  }
  /// All join and report a first step of training.
  void AllTrain(int64_t step = 1) {
    AllJoin();
    for (int member = 0; member < settings_.members; ++member) Happens(BeatOf(member, step));
  }
  /// `seconds` pass while `alive` beat at `step`, standing still for `ready_epoch` if given.
  void Pass(double seconds, const std::vector<int>& alive, int64_t step = 1, int64_t ready_epoch = 0) {
    const auto tenths = static_cast<int64_t>(seconds * 10 + 0.5);
    const auto beat_tenths = static_cast<int64_t>(settings_.heartbeat_s * 10 + 0.5);
    for (int64_t i = 0; i < tenths; ++i) {
      now_ += std::chrono::milliseconds(100);
      if (++tenths_ % beat_tenths == 0) AllBeat(alive, step, ready_epoch);
      Happens(Tick{});
    }
  }
  void AllBeat(const std::vector<int>& alive, int64_t step, int64_t ready_epoch = 0) {
    for (const int member : alive) {
      Beat beat = BeatOf(member, step);
      beat.ready_epoch = ready_epoch;
      Happens(beat);
    }
  }
  /// Time moves without ticks: the coordinator itself stands still.
  void Sleep(double seconds) { now_ += FromSeconds(seconds); }
  /// A new coordinator process: it knows nothing.
  void RestartCoordinator() {
    state_ = State{};
    actions_.clear();
  }

  Directive ToldTo(int member) const { return DirectiveFor(state_, member, Process(member)); }
  Status Picture() const { return StatusOf(state_, now_); }
  int Count(Action::Kind kind) const {
    return static_cast<int>(std::ranges::count_if(actions_, [&](const Action& action) { return action.kind == kind; }));
  }
  const State& state() const { return state_; }
  const Settings& settings() const { return settings_; }
  Time now() const { return now_; }

 private:
  Settings settings_;
  Rules rules_;
  State state_;
  Time now_ = std::chrono::hours(1);
  int64_t tenths_ = 0;
  std::vector<Action> actions_;
};

}  // namespace basin::coordinator
