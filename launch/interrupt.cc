#include "launch/interrupt.h"

#include <csignal>
#include <unistd.h>

namespace basin::launch {
namespace {

// A signal handler can reach nothing but globals.
std::atomic<bool> interrupted{false};
static_assert(std::atomic<bool>::is_always_lock_free, "must be safe in a signal handler");

void OnSignal(int) {
  if (interrupted.exchange(true)) _exit(130);
}

}  // namespace

const std::atomic<bool>& WatchInterrupts() {
  struct sigaction action{};
  action.sa_handler = OnSignal;
  for (const int signal : {SIGINT, SIGTERM, SIGUSR1}) sigaction(signal, &action, nullptr);
  return interrupted;
}

}  // namespace basin::launch
