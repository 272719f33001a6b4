// A run's own coordinator in a process beside the ranks, so that the loss of rank 0 does not take it along.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>

namespace basin::trainer {

/// `basin-coordinator` started from the folder of this program, on a free port of the loopback, without any of this process's
/// files, streams and launcher's variables: an MPI launcher takes it for no rank of its own. It ends with this object, or, when
/// this process is killed, when the run is over (--until-done). What it logs is in coordinator.log of the run directory.
class CoordinatorProcess {
 public:
  /// Waits until it listens. ConfigError: the program is not there, or did not begin to listen (with what it said).
  CoordinatorProcess(const std::filesystem::path& run_dir, const std::string& token);
  /// Asks it to end (SIGTERM), and ends it (SIGKILL) when it has not within ten seconds.
  ~CoordinatorProcess();
  CoordinatorProcess(const CoordinatorProcess&) = delete;
  CoordinatorProcess& operator=(const CoordinatorProcess&) = delete;

  const std::string& address() const { return address_; }  ///< HOST:PORT
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = 0;
  std::string address_;
};

}  // namespace basin::trainer
