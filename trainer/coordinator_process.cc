#include "trainer/coordinator_process.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/files.h"

namespace basin::trainer {
namespace {

constexpr int kAnnouncements = 3;  // the descriptor that the new process writes its address to
constexpr int kStartSeconds = 20;
constexpr int kEndSeconds = 10;  // a coordinator ends within seconds, unless it is stopped or waits for a disk

std::filesystem::path Program() {
  const std::filesystem::path folder = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  // Tests lie in a folder beside that of the programs.
  for (const auto& path : {folder / "basin-coordinator", folder.parent_path() / "bin" / "basin-coordinator"}) {
    if (std::filesystem::exists(path)) return path;
  }
  throw ConfigError(Text("coordinator.on_loss is continue, which needs the program basin-coordinator, but there is none in ", folder.string(),
                         "; build it (launch/build.sh), or start one elsewhere and set coordinator.address: HOST:PORT"));
}

/// This process's variables without those by which launchers know their ranks.
std::vector<std::string> Environment(const std::string& token) {
  std::vector<std::string> kept{"BASIN_RUN_TOKEN=" + token};
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string_view text = *variable;
    bool drop = false;
    for (const char* prefix : {"BASIN_RUN_TOKEN=", "OMPI_", "PMIX_", "PMI_", "ORTE_", "SLURM_"}) drop |= text.starts_with(prefix);
    if (!drop) kept.emplace_back(text);
  }
  return kept;
}

std::vector<char*> Pointers(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

/// Both ends close with it.
struct Pipe {
  Pipe() {
    if (pipe2(ends.data(), O_CLOEXEC) != 0) throw DataError(Text("cannot make a pipe: ", std::strerror(errno)));
  }
  ~Pipe() {
    close(ends[0]);
    if (ends[1] >= 0) close(ends[1]);
  }
  void CloseWriting() { close(std::exchange(ends[1], -1)); }
  std::array<int, 2> ends{};
};

/// A session of its own: signals to the ranks' process groups, the terminal's included, do not reach it.
pid_t Spawn(std::vector<std::string> arguments, std::vector<std::string> environment, int announcements,
            const std::filesystem::path& log) {
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_addopen(&files, 2, log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
  posix_spawn_file_actions_adddup2(&files, announcements, kAnnouncements);
  posix_spawn_file_actions_addclosefrom_np(&files, kAnnouncements + 1);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID);
  pid_t pid = 0;
  const int failure = posix_spawn(&pid, arguments.front().c_str(), &files, &attributes, Pointers(arguments).data(), Pointers(environment).data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&files);
  if (failure != 0) throw ConfigError(Text("cannot start ", arguments.front(), ": ", std::strerror(failure)));
  return pid;
}

/// One line, or what came of it until the other end closed or the time ran out.
std::string ReadLine(int descriptor, int seconds) {
  std::string line;
  pollfd waiting{.fd = descriptor, .events = POLLIN, .revents = 0};
  char byte = 0;
  while (poll(&waiting, 1, seconds * 1000) == 1 && read(descriptor, &byte, 1) == 1 && byte != '\n') line += byte;
  return byte == '\n' ? line : "";
}

void End(pid_t pid) {
  kill(pid, SIGTERM);
  const int process = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
  pollfd ended{.fd = process, .events = POLLIN, .revents = 0};
  if (process >= 0 && poll(&ended, 1, kEndSeconds * 1000) == 0) kill(pid, SIGKILL);
  if (process >= 0) close(process);
  while (waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
}

}  // namespace

CoordinatorProcess::CoordinatorProcess(const std::filesystem::path& run_dir, const std::string& token) {
  const std::filesystem::path log = run_dir / "coordinator.log";
  Pipe pipe;
  pid_ = Spawn({Program().string(), "--listen", "127.0.0.1:0", "--run-dir", run_dir.string(), "--until-done", "--join-within-s", "120",
                "--announce-fd", std::to_string(kAnnouncements), "--log-level", "warning"},
               Environment(token), pipe.ends[1], log);
  pipe.CloseWriting();
  address_ = ReadLine(pipe.ends[0], kStartSeconds);
  if (!address_.empty()) return;
  End(pid_);
  throw ConfigError(Text("basin-coordinator did not begin to listen: ", base::ReadFile(log)));
}

CoordinatorProcess::~CoordinatorProcess() { End(pid_); }

}  // namespace basin::trainer
