// A thread that does work on files while training goes on.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>

namespace basin::trainer {

/// Does the posted jobs one after another on a thread of its own. After a job that threw, no other is begun: later ones may rely on
/// it. All calls from the owning thread. The destructor finishes the job in hand and drops the rest.
class BackgroundWriter {
 public:
  BackgroundWriter();
  ~BackgroundWriter();
  BackgroundWriter(const BackgroundWriter&) = delete;
  BackgroundWriter& operator=(const BackgroundWriter&) = delete;

  void Post(std::function<void()> job);
  /// Waits until everything posted is done or has failed, but no longer than `limit`. Returns Idle().
  bool WaitFor(std::chrono::milliseconds limit);
  /// Nothing is in hand or waiting (also after a failure).
  bool Idle() const;
  /// What the first failed job threw; null when none did.
  std::exception_ptr failure() const;

 private:
  void Run(std::stop_token stop);

  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<std::function<void()>> jobs_;  // the front one is in hand
  std::exception_ptr failure_;
  std::jthread thread_;  // last: it uses all of the above
};

}  // namespace basin::trainer
