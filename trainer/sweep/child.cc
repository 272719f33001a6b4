#include "trainer/sweep/child.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

#include "base/error.h"

namespace basin::trainer {
namespace {

constexpr int kStopSignal = SIGUSR1;

/// After fork: nothing but calls that are safe there, however many threads the parent has.
[[noreturn]] void Become(char** words, int log, int failure_pipe, pid_t parent) {
  setpgid(0, 0);
  // Dies (or stops in order) with its parent; the parent may have died before this line.
  prctl(PR_SET_PDEATHSIG, kStopSignal);
  if (getppid() != parent) _exit(1);
  const int nothing = open("/dev/null", O_RDONLY);
  dup2(nothing, STDIN_FILENO);
  dup2(log, STDOUT_FILENO);
  dup2(log, STDERR_FILENO);
  execvp(words[0], words);
  const int failure = errno;
  [[maybe_unused]] const ssize_t written = write(failure_pipe, &failure, sizeof failure);
  _exit(127);
}

}  // namespace

Child::Child(std::vector<std::string> words, const std::filesystem::path& log) {
  const int log_file = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (log_file < 0) throw DataError(Text(log.string(), ": cannot be written: ", std::strerror(errno)));
  std::array<int, 2> failed{};  // closes unwritten once the new program runs
  if (pipe2(failed.data(), O_CLOEXEC) != 0) throw DataError(Text("cannot make a pipe: ", std::strerror(errno)));
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  const pid_t parent = getpid();
  pid_ = fork();
  if (pid_ == 0) Become(pointers.data(), log_file, failed[1], parent);
  int failure = pid_ < 0 ? errno : 0;
  close(log_file);
  close(failed[1]);
  if (pid_ > 0 && read(failed[0], &failure, sizeof failure) == sizeof failure) waitpid(std::exchange(pid_, -1), nullptr, 0);
  close(failed[0]);
  if (failure != 0) throw ConfigError(Text("cannot start ", words.front(), ": ", std::strerror(failure)));
}

Child::~Child() {
  if (pid_ < 0) return;
  Kill();
  while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

Child::Child(Child&& other) noexcept : pid_(std::exchange(other.pid_, -1)) {}

Child& Child::operator=(Child&& other) noexcept {
  std::swap(pid_, other.pid_);
  return *this;
}

std::optional<int> Child::Poll() {
  BASIN_CHECK(pid_ > 0, "a child that has ended");
  int status = 0;
  const pid_t ended = waitpid(pid_, &status, WNOHANG);
  if (ended == 0 || (ended < 0 && errno == EINTR)) return std::nullopt;
  pid_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void Child::AskToStop() const { kill(pid_, kStopSignal); }

void Child::Kill() const { kill(-pid_, SIGKILL); }

std::filesystem::path ThisProgram() { return std::filesystem::read_symlink("/proc/self/exe"); }

}  // namespace basin::trainer
