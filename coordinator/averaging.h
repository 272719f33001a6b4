// Averages of members' weights, made at the coordinator by a thread of its own.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>

#include "coordinator/types.h"
#include "coordinator/weights_store.h"

namespace basin::coordinator {

/// Thread-safe. One average at a time, with the memory of one tensor of it; the inputs are mapped.
class Averaging {
 public:
  /// `note` is told of the end of each average, on the thread that makes it. The store and what `note` uses must
  /// outlive this.
  Averaging(WeightsStore& store, std::function<void(const std::string&)> note);
  /// Gives up what is under way, between two blocks of a tensor; nothing of it is left.
  ~Averaging();
  Averaging(const Averaging&) = delete;
  Averaging& operator=(const Averaging&) = delete;

  /// How the average stands; the first time for its name, it is begun as soon as all members' files are there.
  /// `may_come` says whether a member whose file is missing can still send it; when not, the average fails. Refused:
  /// the job is not valid, another one has this name (unless that one failed), or there are too many names. Whatever
  /// failed is tried again only under another job.
  AverageProgress Ask(const AverageJob& job, const std::function<bool(int)>& may_come);

 private:
  struct Order {
    AverageJob job;
    AverageProgress progress{};
    bool queued = false;
  };
  void QueueIfComplete(Order& order, const std::function<bool(int)>& may_come);
  void Work();
  AverageProgress Make(const AverageJob& job);

  WeightsStore& store_;
  const std::function<void(const std::string&)> note_;
  std::mutex mutex_;  // guards what follows
  std::condition_variable wake_;
  std::map<std::string, Order> orders_;  // by name
  std::deque<AverageJob> queue_;
  std::atomic<bool> stopping_ = false;
  std::thread worker_;
};

}  // namespace basin::coordinator
