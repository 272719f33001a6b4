// Who may call MPI, and what moves messages in flight while nobody does. Part of the door to mpi.h: included by mpi_world.h and mpi_progress.cc only.
#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "comm/mpi_flight.h"

namespace basin::comm {

/// MPI moves a message only while someone calls it. So while messages are in flight a thread tests them from time to time, as long as the
/// rank's own thread computes. MPI has thread level SERIALIZED: whoever calls it holds the lock. Without messages in flight the thread
/// sleeps.
class MpiProgress {
 public:
  MpiProgress() = default;
  /// Ends the thread; nothing may be in flight.
  ~MpiProgress();
  MpiProgress(const MpiProgress&) = delete;
  MpiProgress& operator=(const MpiProgress&) = delete;

  /// For every call of MPI, and for the two below.
  [[nodiscard]] std::unique_lock<std::mutex> Lock() { return std::unique_lock(mutex_); }
  /// The thread may call it at any time until Remove. What it throws then is kept for the flight's own Wait.
  void Add(Flight& flight);
  /// A flight that was not added, or has left by itself, is no error.
  void Remove(Flight& flight);

 private:
  void Work(const std::stop_token& stop);

  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::vector<Flight*> flights_;
  bool added_ = false;  // since the thread looked last
  std::jthread thread_;  // from the first Add on
};

}  // namespace basin::comm
