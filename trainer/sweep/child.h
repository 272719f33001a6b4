// A child process that outlives neither its parent nor its deadline.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace basin::trainer {

/// A program in a process group of its own, so that Ctrl-C in the terminal does not reach it by itself, with both outputs in a log file.
/// When the thread that started it dies, however that happens, the child gets SIGUSR1, which a Basin run (and mpirun or srun, which pass
/// it on) takes as the wish to stop with a checkpoint. Move-only; one thread.
class Child {
 public:
  /// words: the program (a path, or a name to look for in PATH) and its arguments. ConfigError when it cannot be started, DataError when
  /// the log cannot be written.
  Child(std::vector<std::string> words, const std::filesystem::path& log);
  /// Still running: killed with its group.
  ~Child();
  Child(Child&& other) noexcept;
  Child& operator=(Child&& other) noexcept;

  /// Its exit code once it has ended; 128 + signal when a signal ended it. Does not wait.
  std::optional<int> Poll();
  /// Asks it to stop in order: SIGUSR1, to itself alone, since a launcher passes it on to its ranks.
  void AskToStop() const;
  /// SIGKILL to its process group.
  void Kill() const;

 private:
  pid_t pid_ = -1;  // -1: has ended, or moved away
};

/// The file of this program.
std::filesystem::path ThisProgram();

}  // namespace basin::trainer
