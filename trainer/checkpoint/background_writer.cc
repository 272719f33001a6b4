#include "trainer/checkpoint/background_writer.h"

#include <utility>

namespace basin::trainer {

BackgroundWriter::BackgroundWriter() : thread_([this](std::stop_token stop) { Run(std::move(stop)); }) {}

BackgroundWriter::~BackgroundWriter() {
  thread_.request_stop();
  thread_.join();
}

void BackgroundWriter::Post(std::function<void()> job) {
  {
    const std::lock_guard lock(mutex_);
    if (failure_) return;
    jobs_.push_back(std::move(job));
  }
  changed_.notify_all();
}

bool BackgroundWriter::WaitFor(std::chrono::milliseconds limit) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, limit, [this] { return jobs_.empty(); });
}

bool BackgroundWriter::Idle() const {
  const std::lock_guard lock(mutex_);
  return jobs_.empty();
}

std::exception_ptr BackgroundWriter::failure() const {
  const std::lock_guard lock(mutex_);
  return failure_;
}

void BackgroundWriter::Run(std::stop_token stop) {
  std::unique_lock lock(mutex_);
  while (changed_.wait(lock, stop, [this] { return !jobs_.empty(); }) && !stop.stop_requested()) {
    const std::function<void()> job = jobs_.front();
    lock.unlock();
    std::exception_ptr failure;
    try {
      job();
    } catch (...) {
      failure = std::current_exception();
    }
    lock.lock();
    jobs_.pop_front();
    if (failure) {
      failure_ = failure;
      jobs_.clear();
    }
    changed_.notify_all();
  }
}

}  // namespace basin::trainer
