// Waiting for what other threads bring about: ends with the event, or fails after a generous deadline.
#pragma once

#include <chrono>
#include <functional>
#include <thread>

namespace basin::coordinator {

inline bool Eventually(const std::function<bool()>& holds) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!holds()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

}  // namespace basin::coordinator
