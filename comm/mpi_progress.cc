#include "comm/mpi_progress.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace basin::comm {
namespace {

/// Between two tests. A message of a training step has a step's time: short enough for the many rounds of a long message over TCP, long
/// enough to leave the core to the computing thread (a test costs 2 to 3 microseconds with the change of threads).
constexpr std::chrono::microseconds kFirstPause(50), kLongestPause(500);

}  // namespace

MpiProgress::~MpiProgress() {
  if (!thread_.joinable()) return;
  thread_.request_stop();  // wakes it too
  thread_.join();
}

void MpiProgress::Add(Flight& flight) {
  flights_.push_back(&flight);
  added_ = true;
  changed_.notify_one();
  if (!thread_.joinable()) thread_ = std::jthread([this](const std::stop_token& stop) { Work(stop); });
}

void MpiProgress::Remove(Flight& flight) { std::erase(flights_, &flight); }

void MpiProgress::Work(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  auto pause = kFirstPause;
  while (changed_.wait(lock, stop, [this] { return !flights_.empty(); }) && !stop.stop_requested()) {
    if (std::exchange(added_, false)) pause = kFirstPause;
    std::erase_if(flights_, [](Flight* flight) { return flight->Progress(); });
    // Not wait_for on changed_: a new flight need not be tested at once, its messages have just been handed to MPI.
    lock.unlock();
    std::this_thread::sleep_for(pause);
    pause = std::min(2 * pause, kLongestPause);
    lock.lock();
  }
}

}  // namespace basin::comm
