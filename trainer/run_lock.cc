#include "trainer/run_lock.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <thread>
#include <utility>

#include "base/error.h"
#include "base/files.h"
#include "base/host.h"
#include "base/json.h"
#include "base/log.h"

namespace basin::trainer {
namespace {

/// The running kernel's name: the same in all containers of a machine, whatever they call their host. Empty where there is none.
std::string BootId() {
  try {
    return base::ReadFile("/proc/sys/kernel/random/boot_id").substr(0, 36);
  } catch (const DataError&) {
    return {};
  }
}

struct Holder {
  std::string host;  // empty: the file says nothing
  std::string boot;
  int64_t process = 0;
  /// Locks of processes of this machine end with them; whether other machines' are seen here depends on the file system.
  bool IsOfThisMachine() const { return host == base::HostName() || (!boot.empty() && boot == BootId()); }
  std::string Name() const {
    return host.empty() ? "a process that has not named itself yet" : Text("process ", process, " on ", host);
  }
};

/// A file that is empty or cut short names nobody: its writer was stopped in between.
Holder ReadHolder(const std::filesystem::path& path) {
  try {
    const base::Json file = base::ReadJson(path);
    return {.host = file.at("host").get<std::string>(), .boot = file.value("boot", ""), .process = base::WholeNumber(file.at("process"))};
  } catch (const std::exception&) {
    return {};
  }
}

[[noreturn]] void ThrowSystem(const std::filesystem::path& path, const char* what) {
  throw DataError(Text(path.string(), ": ", what, ": ", std::strerror(errno), "; the run directory must be writable"));
}

enum class Grip { kTaken, kHeldByAnother, kNotSupported };

Grip TryLock(int descriptor) {
  while (::flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) return Grip::kHeldByAnother;
    if (errno != EINTR) return Grip::kNotSupported;  // some network file systems
  }
  return Grip::kTaken;
}

bool IsAlive(int64_t process) { return ::kill(static_cast<pid_t>(process), 0) == 0 || errno == EPERM; }

/// Throws unless the file was left behind by a process that is gone.
void RefuseUnlessStale(const std::filesystem::path& path, const Holder& holder, Grip grip) {
  const std::string folder = path.parent_path().string();
  if (grip == Grip::kHeldByAnother || (grip == Grip::kNotSupported && holder.IsOfThisMachine() && IsAlive(holder.process))) {
    throw ConfigError(Text(folder, " is in use by ", holder.Name(), " (", path.filename().string(),
                           "); wait for that run, or choose another --run-dir"));
  }
  if (holder.host.empty()) return;
  if (!holder.IsOfThisMachine()) {
    throw ConfigError(Text(folder, " is in use by ", holder.Name(), ", which cannot be seen from ", base::HostName(),
                           "; if that run has ended, remove ", path.string()));
  }
  base::LogWarning(Text(path.string(), ": ", holder.Name(), " has ended without releasing the run directory; taking it over"));
}

}  // namespace

RunLock::RunLock(const std::filesystem::path& folder, std::chrono::milliseconds patience) : path_(folder / "run.lock") {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (descriptor_ < 0) {
    descriptor_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (descriptor_ < 0) ThrowSystem(path_, "cannot be opened for writing");
    const Grip grip = TryLock(descriptor_);
    // The holder may have removed the file between opening and locking: then this is the lock of nothing.
    const bool waits = grip == Grip::kHeldByAnother && std::chrono::steady_clock::now() < deadline;
    if (waits || (grip == Grip::kTaken && !IsMyFile())) {
      ::close(std::exchange(descriptor_, -1));
      if (waits) std::this_thread::sleep_for(std::chrono::milliseconds(20));
      continue;
    }
    try {
      RefuseUnlessStale(path_, ReadHolder(path_), grip);
    } catch (...) {
      ::close(descriptor_);
      throw;
    }
  }
  const std::string text = base::Json{{"host", base::HostName()}, {"process", ::getpid()}, {"boot", BootId()}}.dump() + "\n";
  if (::ftruncate(descriptor_, 0) != 0 || ::write(descriptor_, text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    const int failure = errno;
    ::unlink(path_.c_str());
    ::close(descriptor_);
    errno = failure;
    ThrowSystem(path_, "cannot be written");
  }
}

RunLock::~RunLock() {
  if (IsMyFile()) ::unlink(path_.c_str());
  ::close(descriptor_);
}

bool RunLock::IsMyFile() const {
  struct stat mine{}, there{};
  return ::fstat(descriptor_, &mine) == 0 && ::stat(path_.c_str(), &there) == 0 && mine.st_dev == there.st_dev &&
         mine.st_ino == there.st_ino;
}

void RunLock::CheckStillThere() const {
  if (IsMyFile()) return;
  throw DataError(Text(path_.string(), " is gone: the run directory was removed or replaced while the run was going on, so its "
                       "results would be lost; start the run again"));
}

}  // namespace basin::trainer
