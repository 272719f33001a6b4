// Ctrl-C: the first signal asks the run to stop after its step, the second ends the process at once.
#pragma once

#include <atomic>

namespace basin::launch {

/// Installs handlers for SIGINT, SIGTERM and SIGUSR1 (Slurm's warning) and returns the flag that they raise.
const std::atomic<bool>& WatchInterrupts();

}  // namespace basin::launch
