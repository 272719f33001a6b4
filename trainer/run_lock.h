// One run in one directory: a lock file that names its holder.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>

namespace basin::trainer {

/// Holds `<run directory>/run.lock` (JSON: host, process id, boot id) for its lifetime; the file goes with it. The lock itself is an
/// advisory lock of the operating system (flock), so it ends with its process however that dies: a file whose process is gone is
/// stale and taken over with a log line. Not shared, not copied; any thread may ask StillThere.
class RunLock {
 public:
  /// `folder` exists. ConfigError when another run holds the lock for longer than `patience` (a killed run may take a moment to
  /// die; the message names host and process), or when a file of another host is there, whose process cannot be seen from here;
  /// DataError when the folder cannot be written.
  explicit RunLock(const std::filesystem::path& folder, std::chrono::milliseconds patience = std::chrono::seconds(3));
  ~RunLock();
  RunLock(const RunLock&) = delete;
  RunLock& operator=(const RunLock&) = delete;

  /// DataError when the file, and so most likely the run directory, has been removed or replaced since.
  void CheckStillThere() const;

 private:
  bool IsMyFile() const;

  std::filesystem::path path_;
  int descriptor_ = -1;
};

}  // namespace basin::trainer
