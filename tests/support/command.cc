#include "tests/support/command.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <stdexcept>

extern char** environ;

namespace basin::test {
namespace {

using Clock = std::chrono::steady_clock;

struct Pipe {
  Pipe() {
    if (pipe2(ends.data(), O_CLOEXEC) != 0) throw std::runtime_error("pipe2 failed");
  }
  ~Pipe() {
    for (const int end : ends) {
      if (end >= 0) close(end);
    }
  }
  void CloseWriter() {
    close(ends[1]);
    ends[1] = -1;
  }
  std::array<int, 2> ends{-1, -1};
};

pid_t Spawn(const std::vector<std::string>& words, const std::vector<std::string>& extra, const Pipe& out, const Pipe& err) {
  std::vector<char*> arguments, environment;
  for (const auto& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  for (const auto& entry : extra) environment.push_back(const_cast<char*>(entry.c_str()));
  for (char** entry = environ; *entry != nullptr; ++entry) environment.push_back(*entry);
  environment.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, out.ends[1], 1);
  posix_spawn_file_actions_adddup2(&actions, err.ends[1], 2);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);  // so that a deadline can end all of it
  posix_spawnattr_setpgroup(&attributes, 0);
  pid_t child = -1;
  const int failure = posix_spawnp(&child, arguments[0], &actions, &attributes, arguments.data(), environment.data());
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (failure != 0) throw std::runtime_error("cannot start " + words[0]);
  return child;
}

}  // namespace

std::string Program(const std::string& name) { return std::string(BASIN_BINARY_DIR) + "/bin/" + name; }

CommandResult RunCommand(const std::vector<std::string>& words, const CommandOptions& options) {
  Pipe out, err;
  const pid_t child = Spawn(words, options.environment, out, err);
  out.CloseWriter();
  err.CloseWriter();
  CommandResult result;
  const auto deadline = Clock::now() + std::chrono::duration<double>(options.deadline_s);
  bool signalled = options.signal_when_seen == 0;
  std::array<pollfd, 2> polls{pollfd{out.ends[0], POLLIN, 0}, pollfd{err.ends[0], POLLIN, 0}};
  int open = 2;
  while (open > 0) {
    if (Clock::now() > deadline) {
      kill(-child, SIGKILL);
      break;
    }
    poll(polls.data(), polls.size(), 100);
    for (size_t k = 0; k < 2; ++k) {
      if ((polls[k].revents & (POLLIN | POLLHUP)) == 0) continue;
      char buffer[4096];
      const ssize_t n = read(polls[k].fd, buffer, sizeof buffer);
      if (n > 0) {
        (k == 0 ? result.out : result.err).append(buffer, static_cast<size_t>(n));
      } else {
        polls[k].fd = -1;
        --open;
      }
    }
    if (!signalled && result.err.find(options.seen) != std::string::npos) {
      kill(child, options.signal_when_seen);
      signalled = true;
    }
  }
  int status = 0;
  waitpid(child, &status, 0);
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return result;
}

CommandResult RunUnderMpi(int ranks, const std::vector<std::string>& words, const CommandOptions& options) {
  std::vector<std::string> all{"mpirun", "--allow-run-as-root", "--oversubscribe", "--bind-to", "none", "-n",
                               std::to_string(ranks)};
  all.insert(all.end(), words.begin(), words.end());
  return RunCommand(all, options);
}

}  // namespace basin::test
